// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// How many descriptors a guest may make us hold: open files and inodes without a file handle.
///
/// The rest of RLIMIT_NOFILE stays for ourselves, so a guest that opens too much gets ENFILE and nobody else suffers
/// (CVE-2020-10717).
final class DescriptorQuota: Sendable {
    /// Memory regions of the VMM (509), eventfds of the queues, sockets, the moment's own needs of each worker.
    static let reserve = 509 + 2 * 65 + 128
    let limit: Int
    private let used = Atomic<Int>(0)
    private let reached = RecurringEvent()

    init(limit: Int) { self.limit = limit }

    /// What RLIMIT_NOFILE leaves after the reserve and `hotDescriptors`; at least 16.
    convenience init(besides hotDescriptors: Int) throws(Errno) {
        let soft = Int(clamping: try DescriptorLimit.current().soft)
        self.init(limit: max(16, soft - Self.reserve - hotDescriptors))
    }

    var usedCount: Int { used.load(ordering: .relaxed) }
    var reachedCount: UInt64 { reached.count }
    var isUsedUp: Bool { usedCount >= limit }

    /// Counts one more; throws ENFILE when the guest has too many.
    func take() throws(Errno) {
        if used.wrappingAdd(1, ordering: .relaxed).newValue > limit {
            giveBack()
            Log.once(
                reached, .warning,
                "the guest makes the daemon hold all \(limit) descriptors that it may (--rlimit-nofile): it gets ENFILE"
            )
            throw .ENFILE
        }
    }

    func giveBack() { used.wrappingSubtract(1, ordering: .relaxed) }
}
