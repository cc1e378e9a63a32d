// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Synchronization

/// An open file description that locks belong to, held by the table and by every request that works on it.
final class LockDescription: Sendable {
    let file: OwnedDescriptor
    private let quota: DescriptorQuota

    /// ENFILE when the guest makes us hold too much.
    init(_ file: consuming OwnedDescriptor, quota: DescriptorQuota) throws(Errno) {
        try quota.take()
        self.file = file
        self.quota = quota
    }

    /// The same open file description as `descriptor`, which its handle may close before a waiter has ended.
    convenience init(duplicating descriptor: Int32, quota: DescriptorQuota) throws(Errno) {
        try self.init(try duplicate(descriptor), quota: quota)
    }

    deinit { quota.giveBack() }
}

/// The POSIX locks of guest processes: one open file description for each inode and lock owner, because that is what an
/// OFD lock belongs to. Two owners never share one, so their locks conflict as the guest expects, and with locks of host
/// processes too.
final class LockOwners: Sendable {
    /// Each is a descriptor, so a guest must not be able to make more without end.
    static let maximum = 4096

    private struct Owner {
        let id: UInt64
        let description: LockDescription
    }

    private struct Table {
        var owners: [NodeID: [Owner]] = [:]
        var count = 0
    }

    private let table = Mutex(Table())
    /// `Table.count`, so that a FORGET of a share without locks takes no lock itself.
    private let count = Atomic<Int>(0)

    init() {}

    var isEmpty: Bool { count.load(ordering: .acquiring) == 0 }

    /// What `owner` has of the inode, or nil: it has no lock then.
    func find(_ nodeID: NodeID, owner: UInt64) -> LockDescription? {
        if isEmpty { return nil }
        return table.withLock { table in
            table.owners[nodeID]?.first { $0.id == owner }?.description
        }
    }

    /// Keeps `description` for `owner`, or returns the one that another worker has kept meanwhile. ENOLCK when full.
    func keep(
        _ description: LockDescription, of nodeID: NodeID, owner: UInt64
    ) throws(Errno) -> LockDescription {
        let kept = table.withLock { table -> LockDescription? in
            if let earlier = table.owners[nodeID]?.first(where: { $0.id == owner }) {
                return earlier.description
            }
            guard table.count < Self.maximum else { return nil }
            table.owners[nodeID, default: []].append(Owner(id: owner, description: description))
            table.count += 1
            count.store(table.count, ordering: .releasing)
            return description
        }
        guard let kept else { throw .ENOLCK }
        return kept
    }

    /// Drops every lock that `owner` has on the inode (FLUSH).
    func drop(_ nodeID: NodeID, owner: UInt64) {
        remove(nodeID) { $0.id == owner }
    }

    /// Drops every lock on the inode: the guest has forgotten it.
    func drop(_ nodeID: NodeID) {
        remove(nodeID) { _ in true }
    }

    /// Drops everything: the guest is gone.
    func dropAll() {
        let all = table.withLock { table in
            let owners = table.owners.values.flatMap { $0 }
            table = Table()
            count.store(0, ordering: .releasing)
            return owners
        }
        for owner in all { unlock(owner.description) }
    }

    private func remove(_ nodeID: NodeID, where matches: (Owner) -> Bool) {
        if isEmpty { return }
        let removed = table.withLock { table -> [Owner] in
            guard let owners = table.owners[nodeID] else { return [] }
            let removed = owners.filter(matches)
            let rest = owners.filter { !matches($0) }
            table.owners[nodeID] = rest.isEmpty ? nil : rest
            table.count -= removed.count
            count.store(table.count, ordering: .releasing)
            return removed
        }
        for owner in removed { unlock(owner.description) }
    }

    /// Closing would do, but for a waiter that still holds the description.
    private func unlock(_ description: LockDescription) {
        try? DescriptionLock.record(type: Int16(F_UNLCK), start: 0, length: 0).set(
            on: description.file.rawValue)
    }
}
