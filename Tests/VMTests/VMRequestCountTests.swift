// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// How many requests a guest sends for what people do, to our daemon and to the Rust one, counted by the guest.
@Suite(.serialized) struct VMRequestCountTests {
    /// Run by sh in the share, a git repository with 2,000 files in its directories d00 to d39.
    private static let workloads: [(name: String, code: String)] = [
        // With one thread: what several forget and look up again at the same time differs from run to run.
        ("git status", "cd /mnt/work && git -c core.preloadIndex=false status --porcelain"),
        ("tar", "cd /mnt/work && tar cf - --sort=name d*"),
        ("find", "cd /mnt/work && find d* | sort"),
        ("grep -r", "cd /mnt/work && grep -r needle d* | sort"),
        (
            "compile",
            """
            cd /mnt/work && perl -e '
            sub slurp {
                open(my $file, "<:unix", $_[0]) or return 0;
                while (my $count = sysread($file, my $text, 65536)) { $sum += $count }
                1
            }
            for my $unit (0 .. 39) {
                my $source = sprintf("d%02d/f00.c", $unit);
                stat($source); slurp($source);
                for my $number (map { ($unit * 3 + $_) % 40 } 0 .. 9) {
                    for my $folder ("include/a", "include/b", "include/current") {
                        last if slurp(sprintf("%s/h%02d.h", $folder, $number));
                    }
                }
            }
            print $sum;'
            """
        ),
    ]

    private struct Mode {
        let name: String
        let cache: String
        var options: [String] = []
        /// Of the Rust daemon, to compare with.
        var peer: String?
        var tag: String { name.replacing(" ", with: "-") }
        /// After a mount, and once more. Under `never` nothing is kept in between.
        var runs: [String] { cache == "never" ? ["cold"] : ["cold", "warm"] }
        /// Each file costs a dozen requests under `never`, however many there are: a quarter of them will do.
        func code(_ code: String) -> String { cache == "never" ? code.replacing("d*", with: "d0*") : code }
    }

    private static let modes =
        ["never", "auto", "always"].flatMap {
            [Mode(name: "rust \($0)", cache: $0), Mode(name: $0, cache: $0, peer: "rust \($0)")]
        }
        + [Mode(name: "exclusive", cache: "always", options: ["--exclusive"], peer: "rust always")]

    private typealias Counts = [String: [String: [String: RequestCount]]]

    @Test(.enabled(if: requirementsMet("VMRequestCount", .qemu, .lab, .debianRoot, .root)))
    func neverMoreThanTheRustDaemon() throws {
        let scratch = try ScratchDirectory()
        try Self.makeRepository(scratch.path)
        let guest = try TestGuest(
            .lab,
            Self.modes.map { mode in
                var share = TestShare(mode.tag, scratch.path, cache: mode.cache, options: mode.options)
                if mode.peer == nil { share.program = Lab.rustDaemon }
                share.mounted = false
                return share
            }, processors: 1)
        let counter = try RequestCounter(guest)
        var counts: Counts = [:]
        for (workload, code) in Self.workloads {
            for mode in Self.modes {
                counts[workload, default: [:]][mode.name] = try counter.measure(
                    mode.tag, mode.runs, mode.code(code))
            }
        }
        guest.end()
        let table = Self.table(counts)
        if let path = environmentVariable("REQUEST_COUNTS") {
            try Files.replace(path, with: Array(table.utf8))
        }
        for mode in Self.modes { Self.check(mode, counts, table) }
    }

    private static func check(_ mode: Mode, _ counts: Counts, _ table: String) {
        let pairs = workloads.flatMap { workload, _ in mode.runs.map { (workload, $0) } }
        var (sum, theirSum) = ([String: Int](), [String: Int]())
        for (workload, run) in pairs {
            guard let ours = counts[workload]?[mode.name]?[run] else {
                Issue.record("\(workload), \(mode.name), \(run): nothing was counted")
                continue
            }
            #expect(ours.total > 0, "\(workload), \(mode.name), \(run)")
            guard let peer = mode.peer, let theirs = counts[workload]?[peer]?[run] else { continue }
            #expect(ours.result == theirs.result, "\(workload), \(mode.name), \(run)")
            if mode.cache == "auto" {
                // What gets a second old is asked for again, some names or all of them: that is the machine's load.
                #expect(ours.timeless <= theirs.timeless, "\(workload), \(run)\n\(table)")
            } else {
                #expect(ours.total <= theirs.total, "\(workload), \(mode.name), \(run)\n\(table)")
            }
            sum[workload, default: 0] += ours.total
            theirSum[workload, default: 0] += theirs.total
        }
        guard mode.options.contains("--exclusive") else { return }
        func ratio(_ workloads: [String]) -> Double {
            let (ours, theirs) = (workloads.compactMap { sum[$0] }, workloads.compactMap { theirSum[$0] })
            return Double(ours.reduce(0, +)) / Double(theirs.reduce(0, +))
        }
        let names = workloads.map(\.name)
        #expect(ratio(names) <= 0.6, "\(table)")
        // git looks each file of its index up before it lists anything: no daemon can save a guest that.
        for name in names where name != "git status" { #expect(ratio([name]) <= 0.6, "\(name)\n\(table)") }
    }

    /// For docs/performance.md; the opcodes of each run are behind it.
    private static func table(_ counts: Counts) -> String {
        let columns = modes.flatMap { mode in mode.runs.map { (mode.name, $0) } }
        var text = "| requests | \(columns.map { "\($0), \($1)" }.joined(separator: " | ")) |\n"
        text += "|---|\(columns.map { _ in "--:|" }.joined())\n"
        var sums = columns.map { _ in 0 }
        func line(_ title: String, _ cells: [Int]) -> String {
            "| \(title) | \(cells.map(String.init).joined(separator: " | ")) |\n"
        }
        for (workload, _) in workloads {
            let cells = columns.map { counts[workload]?[$0]?[$1]?.total ?? 0 }
            sums = zip(sums, cells).map { $0 + $1 }
            text += line(workload, cells)
        }
        text += line("all", sums) + "\n"
        for (workload, _) in workloads {
            for (mode, run) in columns {
                text += "\(workload), \(mode), \(run): \(counts[workload]?[mode]?[run]?.text ?? "")\n"
            }
        }
        return text
    }

    /// 2,000 files of text in 40 directories, include directories with headers, all in git's index. What git keeps of them
    /// is their size and second, so that a copy or another mount is no change.
    private static func makeRepository(_ path: String) throws {
        let script = """
            cd "$1"
            root=$2
            mkdir -p $(seq -f d%02g 0 39) include/a include/b include/c
            ln -s c include/current
            awk 'BEGIN {
                for (i = 0; i < 2000; i++) {
                    name = sprintf("d%02d/f%02d.c", i % 40, int(i / 40))
                    for (line = 0; line < 20 + i % 80; line++) print "line", line, "of file", i >name
                    if (i % 100 == 0) print "needle" >name
                    close(name)
                }
                for (i = 0; i < 40; i++) {
                    name = sprintf("include/%s/h%02d.h", substr("abc", i % 3 + 1, 1), i)
                    for (line = 0; line < 50; line++) print "declaration", line, "of header", i >name
                    close(name)
                }
            }'
            find . -exec touch -h -d '2020-01-01 00:00:00 UTC' {} +
            git() {
                "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/git" "$@"
            }
            export GIT_CONFIG_NOSYSTEM=1 GIT_EXEC_PATH=$root/usr/lib/git-core HOME=$1/.git
            git init -q
            git config core.checkStat minimal
            git config core.trustctime false
            git config maintenance.auto false
            git add .
            git -c user.name=a -c user.email=a@b commit -q -m all
            git status --porcelain
            """
        let made = try ChildProcess.run("/bin/sh", ["-ec", script, "sh", path, Lab.debianRoot])
        try #require(
            made.end == .exited(0) && made.output.isEmpty, "\(String(decoding: made.errors, as: UTF8.self))")
    }
}
