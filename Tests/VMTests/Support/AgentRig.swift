// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// A guest with an agent on a directory of the host, and a program there that watches.
final class AgentRig {
    /// In the guest, by the Debian tree's programs.
    static let mounted = "/mnt/work"

    let scratch: ScratchDirectory
    let guest: TestGuest
    let share: TestShare
    private let tableDirectory: TemporaryDirectory

    /// - Parameters:
    ///   - prepare: fills the directory before the guest sees it.
    ///   - table: that of another rig, whose directory this one serves too.
    init(
        _ stack: Stack, beside other: AgentRig? = nil, options: [String] = [],
        prepare: (ScratchDirectory) throws -> Void = { _ in }
    ) throws {
        // The host's kernel counts what is done on the whole file system, which must be quiet for nothing to be missed.
        scratch = try other?.scratch ?? ScratchDirectory(in: "/dev/shm")
        tableDirectory = try other?.tableDirectory ?? TemporaryDirectory(prefix: "virtiofs-", in: "/dev/shm")
        try prepare(scratch)
        var share = TestShare(
            "work", scratch.path, cache: "shared",
            options: ["--version-table=\(tableDirectory.path)/table", "--journal-size=16M"] + options)
        share.agent = true
        self.share = share
        guest = try TestGuest(stack, [share])
        try #require(awaitMessage("caches long"), "\(guest.tails)")
    }

    /// What the daemon has said.
    var messages: String { guest.daemons[1].messageText }
    /// What the agent has said: its words go to the guest's console.
    var agentLog: [Substring] {
        String(decoding: guest.machine.kernelLog, as: UTF8.self).split(separator: "\n").filter {
            $0.contains("virtiofs-agent:")
        }
    }

    /// For failures.
    var said: String { "\(messages)\n\(agentLog.joined(separator: "\n"))" }

    func awaitMessage(_ text: String, seconds: Int32 = 30, times: Int = 1) -> Bool {
        scratch.wait(seconds: seconds) { _ in
            self.messages.split(separator: "\n").count { $0.contains(text) } >= times
        }
    }

    /// Runs sh code in the directory, on the host.
    func host(_ code: String) throws {
        let script = "cd \(GuestScripts.quoted(scratch.path)); \(code)"
        let result = try ChildProcess.run("/bin/sh", ["-ec", script])
        try #require(result.end == .exited(0), "\(code): \(String(decoding: result.errors, as: UTF8.self))")
    }

    func path(_ name: String) -> String { "\(Self.mounted)/\(name)" }
}
