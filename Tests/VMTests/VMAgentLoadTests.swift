// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import MessageTools
import Testing

/// Many changes, many looks, and other guests.
@Suite(.serialized) struct VMAgentLoadTests {
    /// The host's edits: a number from the environment for long runs, as AGENT_EDITS=10000.
    private static let editCount = environmentVariable("AGENT_EDITS").flatMap { Int($0) } ?? 1500

    /// Files in directories that stay, so that what events tell of their names can be added up.
    private struct Editor {
        static let directories = ["a", "b", "c/d"]
        let root: String
        var random: SeededGenerator
        var files: [String] = []
        var made = 0
        /// Names of the files that were made or changed, by directory, as long as they are there.
        private(set) var changed: Set<String> = []

        init(_ root: String, seed: UInt64) {
            self.root = root
            random = SeededGenerator(seed: seed)
        }

        mutating func prepare() throws {
            for directory in Self.directories { try Files.makeDirectories("\(root)/\(directory)") }
            for _ in 0..<60 { try create() }
            changed = []
        }

        private mutating func newName() -> String {
            made += 1
            return "\(random.pick(Self.directories))/f\(made)"
        }

        private mutating func create() throws {
            let name = newName()
            try write(name, O_CREAT | O_TRUNC)
            files.append(name)
            changed.insert(name)
        }

        private mutating func write(_ name: String, _ flags: Int32) throws {
            let file = OwnedDescriptor(
                adopting: try systemCall { open("\(root)/\(name)", O_WRONLY | O_CLOEXEC | flags, 0o644) })
            let text = "\(random.next()) ".utf8
            try Files.writeAll(
                file.rawValue, Array(repeatElement(Array(text), count: random.below(40)).joined()))
        }

        mutating func edit() throws {
            guard files.count > 20 else { return try create() }
            let index = random.below(files.count)
            let name = files[index]
            switch random.below(12) {
            case 0...3: try write(name, O_TRUNC)
            case 4: try write(name, O_APPEND)
            case 5, 6:
                let temporary = String(name.prefix { $0 != "f" }) + ".tmp"
                try write(temporary, O_CREAT | O_TRUNC)
                _ = try systemCall { rename("\(root)/\(temporary)", "\(root)/\(name)") }
            case 7:
                if files.count < 200 { return try create() }
                fallthrough
            case 8:
                _ = try systemCall { unlink("\(root)/\(name)") }
                files.remove(at: index)
                changed.remove(name)
                return
            case 9:
                let target = newName()
                _ = try systemCall { rename("\(root)/\(name)", "\(root)/\(target)") }
                files[index] = target
                changed.remove(name)
                changed.insert(target)
                return
            case 10:
                let other = random.below(files.count)
                if other == index { return }
                _ = try systemCall { rename("\(root)/\(name)", "\(root)/\(files[other])") }
                changed.remove(name)
                changed.insert(files[other])
                files.remove(at: index)
                return
            default: _ = try systemCall { chmod("\(root)/\(name)", mode_t(0o600 + random.below(64))) }
            }
            changed.insert(name)
        }
    }

    @Test(
        .enabled(if: requirementsMet("VMAgent.edits", .qemu, .lab, .debianRoot, .agent, .root)),
        arguments: [Stack.stock, .lab])
    func manyEditsWhileTheGuestReads(_ stack: Stack) throws {
        var prepared: Editor?
        let rig = try AgentRig(stack) { scratch in
            var editor = Editor(scratch.path, seed: 42)
            try editor.prepare()
            prepared = editor
        }
        var editor = try #require(prepared)
        let watcher = try GuestWatcher(rig.guest)
        for directory in Editor.directories + ["."] { try watcher.ask("watch \(rig.path(directory))") }
        try watcher.ask("hush")
        try watcher.ask("read \(AgentRig.mounted)")
        let began = monotonicNanoseconds()
        for number in 0..<Self.editCount {
            try editor.edit()
            // An emulated guest cannot hear of more than some hundred a second.
            if number % 10 == 9 { usleep(50_000) }
        }
        let edited = monotonicNanoseconds()
        try rig.scratch.write("sync", "end")
        let event = try watcher.await("MOVED_TO", "sync", in: rig.path("."), seconds: 600)
        try watcher.ask("rest")
        let missed = rig.agentLog.contains { $0.contains("missed") }
        if !missed {
            let told = try watcher.ask("told")
            #expect(told == "all")
            for directory in Editor.directories {
                let names = editor.changed.filter { $0.hasPrefix("\(directory)/") }.map {
                    $0.split(separator: "/").last ?? ""
                }
                #expect(
                    try watcher.ask("heard \(rig.path(directory)) \(names.joined(separator: " "))")
                        == "silent: ")
            }
        }
        watcher.end()
        try rig.guest.expectSameOnBothSides(rig.share)
        func seconds(_ from: Int64, _ to: Int64) -> String { "\((to - from) / 1_000_000) ms" }
        let line = """
            agent, \(stack.rawValue): \(Self.editCount) edits in \(seconds(began, edited)), told \
            \(seconds(edited, event.arrival)) later, \(missed ? "changes were missed: \(rig.messages)" : "none missed")

            """
        _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
        #expect(rig.agentLog.allSatisfy { !$0.contains("could not be shown") }, "\(rig.agentLog)")
        rig.guest.end()
    }

    @Test(.enabled(if: requirementsMet("VMAgent.quiet", .qemu, .lab, .debianRoot, .agent, .root)))
    func asksNothingWhileNothingChanges() throws {
        let rig = try AgentRig(.lab) { scratch in
            let code = """
                cd "$1"
                for i in $(seq 60); do mkdir $i; for j in $(seq 50); do echo $i $j >$i/$j; done; done
                """
            try #require(
                try ChildProcess.run("/bin/sh", ["-ec", code, "sh", scratch.path]).end == .exited(0))
        }
        // Counted by the guest's kernel: requests of these kinds cost by how often they are sent.
        let storm =
            "find \(AgentRig.mounted) -type f -exec stat -c %s {} + | sort | uniq -c; grep -rc 7 \(AgentRig.mounted) | wc -l"
        let counted = """
            mount -t tracefs tracing /sys/kernel/tracing 2>/dev/null
            trigger=/sys/kernel/tracing/events/fuse/fuse_request_send/trigger
            hist=/sys/kernel/tracing/events/fuse/fuse_request_send/hist
            minor=$(stat -c %d \(AgentRig.mounted))
            # Once to fill the caches, and once more as to read makes the time of access unknown.
            \(storm) >/tmp/first
            \(storm) >/tmp/first
            echo "hist:keys=connection,opcode if connection == $minor" >$trigger
            \(storm) >/tmp/second
            awk '/^[{] connection/ { gsub(",", ""); print $5, $8 }' $hist
            cmp /tmp/first /tmp/second && tail -n 1 /tmp/second
            """
        let result = try rig.guest.debian(counted)
        let lines = result.text.split(separator: "\n")
        #expect(lines.last == "3000", "\(result.text)\(result.errorText)")
        var counts: [Int: Int] = [:]
        for line in lines.dropLast() {
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            if numbers.count == 2 { counts[numbers[0]] = numbers[1] }
        }
        // The agent's READs of the list; those of files, their OPEN, FLUSH and RELEASE are what no cache saves: `always` has them too.
        let byName = counts.filter { [1, 3, 22, 52].contains($0.key) }.reduce(0) { $0 + $1.value }
        #expect(byName == 0, "LOOKUP, GETATTR, GETXATTR or STATX: \(counts)\n\(rig.said)")
        #expect(counts[14] ?? 0 > 2000, "\(counts)")
        #expect(counts[15] ?? 0 < 300, "the data is cached: \(counts)")

        try agentStopsAndDies(rig)
        rig.guest.end()
    }

    /// Without the agent nobody makes the guest look again, so that what it learns now must live for a moment only.
    private func agentStopsAndDies(_ rig: AgentRig) throws {
        let (long, auto) = ("the guest caches long", "as with --cache auto: its agent ")
        let before = rig.messages.split(separator: "\n").count { $0.contains(long) }
        _ = try rig.guest.debian("pkill -STOP -x virtiofs-agent")
        #expect(
            rig.scratch.wait { _ in
                _ = try? rig.guest.debian("stat \(AgentRig.mounted)/1/$$")
                return rig.messages.contains(auto + "has not asked for a second")
            }, "\(rig.messages)")
        _ = try rig.guest.debian("pkill -CONT -x virtiofs-agent")
        #expect(rig.awaitMessage(long, times: before + 1), "\(rig.messages)")
        // The one that works; the other makes a new one.
        _ = try rig.guest.debian("pkill -9 -n -x virtiofs-agent")
        #expect(rig.awaitMessage(auto + "has ended"), "\(rig.messages)")
        #expect(rig.awaitMessage(long, times: before + 2), "\(rig.messages)")
        _ = try rig.guest.debian("pkill -9 -x virtiofs-agent")
        #expect(rig.awaitMessage(auto + "has ended", times: 2), "\(rig.messages)")
        #expect(rig.agentLog.contains { $0.contains("another one follows") }, "\(rig.agentLog)")
    }

    @Test(.enabled(if: requirementsMet("VMAgent.guests", .qemu, .lab, .debianRoot, .agent, .root)))
    func oneGuestHearsTheOther() throws {
        let first = try AgentRig(.stock) { try $0.write("f", "old") }
        let second = try AgentRig(.lab, beside: first)
        let watchers = try [first, second].map { rig in try GuestWatcher(rig.guest) }
        for watcher in watchers {
            try watcher.ask("watch \(AgentRig.mounted)")
            #expect(try watcher.ask("cat \(first.path("f"))") == "old")
        }
        for (writer, other) in [(0, 1), (1, 0)] {
            let name = "by\(writer)"
            #expect(try watchers[other].ask("stat \(first.path(name))") == "No such file or directory")
            try watchers[writer].ask("write \(first.path(name)) made")
            try watchers[writer].ask("write \(first.path("f")) new\(writer)")
            try watchers[other].await("CREATE", name, in: AgentRig.mounted)
            try watchers[other].await("MODIFY", "f", in: AgentRig.mounted)
            #expect(try watchers[other].ask("cat \(first.path(name))") == "made")
            #expect(try watchers[other].ask("cat \(first.path("f"))") == "new\(writer)")
            try watchers[writer].ask("rename \(first.path(name)) \(first.path("now\(writer)"))")
            try watchers[other].await("MOVED_FROM", name, in: AgentRig.mounted)
            try watchers[other].await("MOVED_TO", "now\(writer)", in: AgentRig.mounted)
        }
        for (watcher, rig) in zip(watchers, [first, second]) {
            watcher.end()
            try rig.guest.expectSameOnBothSides(rig.share)
            rig.guest.end()
        }
    }
}
