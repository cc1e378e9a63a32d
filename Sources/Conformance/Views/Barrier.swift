// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import Glibc
import HostOS

/// Tells when all mounts know what this host has changed: its events come in their order, so whoever has read of one has read of those
/// before it. That a mount shows a later change proves nothing: it may just have asked for that one.
struct Barrier {
    private let table: VersionTable
    private let name: String
    private var count = 0

    init(_ table: VersionTable, _ name: String) {
        self.table = table
        self.name = name
    }

    /// Makes a file on the host, and waits until the journal tells so, and everybody who follows it has read that.
    mutating func pass(host: String) throws(Failure) {
        count += 1
        // Each time another: of one that was there before, an event may be on its way.
        let name = "\(name).\(count)"
        let path = "\(host)/\(name)"
        let reader = JournalReader(table)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
        _ = close(try Field.system("open", path) { unsafe open($0, flags, 0o644) })
        defer { _ = unsafe unlink(path) }
        let deadline = Deadline(milliseconds: 10_000)
        func wait(_ condition: () -> Bool) throws(Failure) {
            while !condition() {
                if deadline.hasPassed { throw Failure("\(path) was made, and the mounts do not hear of it") }
                sched_yield()
            }
        }
        try wait { Self.tells(of: name, reader) }
        try wait { Follower.haveRead(to: reader.position, in: table) }
    }

    /// Reads on until a record of `name`, or one that says that everything may have changed.
    private static func tells(of name: String, _ reader: JournalReader) -> Bool {
        while let event = reader.next() {
            guard case .record(let record, _) = event, record.kind != .everything else { return true }
            if record.kind == .created, record.name == Array(name.utf8) { return true }
        }
        return false
    }
}
