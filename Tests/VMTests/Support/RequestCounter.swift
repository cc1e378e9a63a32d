// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Guest
import Testing

/// The requests of one run of a workload, by opcode.
struct RequestCount {
    var byOpcode: [UInt32: Int] = [:]
    /// What the workload printed: a check that it did the same.
    var result = ""

    var total: Int { byOpcode.values.reduce(0, +) }

    /// Without those that a guest repeats when a name or attributes have become too old.
    var timeless: Int {
        let repeated: [Opcode] = [.lookup, .getattr, .forget]
        return total - repeated.reduce(0) { $0 + (byOpcode[$1.rawValue] ?? 0) }
    }

    /// "1234: lookup 1000, …", the most frequent first.
    var text: String {
        let parts = byOpcode.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Opcode(rawValue: $0.key).map { "\($0)" } ?? "\($0.key)") \($0.value)" }
        return "\(total): \(parts.joined(separator: ", "))"
    }
}

/// Counts the FUSE requests of a guest in its own kernel, so that every daemon is counted alike: by a histogram of the trace
/// event of a request that is sent, and a probe where FORGETs are, which have no event.
struct RequestCounter {
    private static let script = """
        set -e -o pipefail
        tracing=/sys/kernel/tracing
        requests=$tracing/events/fuse/fuse_request_send
        forgets=$tracing/events/kprobes/forget
        work=/mnt/tools/mnt/work

        prepare() {
            mount -t tracefs tracing $tracing
            echo 'p:forget virtio_fs_send_forget' >$tracing/kprobe_events
            echo 'hist:keys=connection,opcode' >$requests/trigger
            echo 'hist:keys=common_type' >$forgets/trigger
            mkdir -p $work
        }

        # Opened with O_TRUNC, a file of triggers loses them.
        clear() {
            echo 'hist:keys=connection,opcode:clear' >>$requests/trigger
            echo 'hist:keys=common_type:clear' >>$forgets/trigger
        }

        # Prints "OPCODE COUNT" for all that went to connection $1.
        show() {
            awk -v minor=$1 '/^[{] connection/ { gsub(",", ""); if ($3 == minor) print $5, $8 }' $requests/hist
            awk '/^[{] common_type/ { print 2, $6 }' $forgets/hist
        }

        # Mounts share $1 and runs the words behind $2 among the programs of the Debian tree, once for each name in $2.
        measure() {
            mount -t virtiofs $1 $work
            runs=$2
            shift 2
            minor=$(awk -v at=$work '$5 == at { split($3, device, ":"); print device[2] }' /proc/self/mountinfo)
            for run in $runs; do
                clear
                result=$(chroot /mnt/tools /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C HOME=/tmp sh -c "$*" | md5sum)
                show $minor
                echo "end $run $result"
            done
            umount $work
        }

        """

    private let guest: TestGuest

    /// The guest must have Linux 6.11 or newer.
    init(_ guest: TestGuest) throws {
        self.guest = guest
        try #require(try run("prepare") == "")
    }

    /// Mounts the share `tag` at /mnt/work of the Debian tree and runs sh code there, once for each of `runs`.
    func measure(_ tag: String, _ runs: [String], _ code: String) throws -> [String: RequestCount] {
        var counts: [String: RequestCount] = [:]
        var run = RequestCount()
        let names = GuestScripts.quoted(runs.joined(separator: " "))
        for line in try self.run("measure \(tag) \(names) \(GuestScripts.quoted(code))").split(
            separator: "\n")
        {
            let words = line.split(separator: " ")
            if words.first == "end" {
                run.result = words.dropFirst(2).joined(separator: " ")
                counts[String(words[1])] = run
                run = RequestCount()
            } else {
                let opcode = try #require(words.first.flatMap { UInt32($0) }, "\(line)")
                run.byOpcode[opcode, default: 0] += try #require(words.last.flatMap { Int($0) }, "\(line)")
            }
        }
        return counts
    }

    private func run(_ words: String) throws -> String {
        var command = GuestCommand(Self.script + words)
        command.timeoutMilliseconds = 300_000
        let result = try guest.machine.execute(command)
        try #require(result.exitStatus == 0, "\(words): \(result.errorText)\n\(guest.tails)")
        return result.text
    }
}
