// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import HostOS
import StateArena
import Synchronization

/// The inodes that the guest knows, and how often.
///
/// Finding by nodeid takes no lock. Lookup counts, the index and the free list change under one short lock, so a record
/// is retired exactly when its count reaches zero and can never be revived after that.
final class InodeTable: Sendable {
    let slots: SlotTable
    private let index: Mutex<IdentityIndex>

    /// The slot of the root, whose nodeid is 1.
    static let rootSlot: UInt32 = 1

    let limit: Limit

    /// - Parameter limit: of what the guest knows at a time besides the root; nil: what there is room for.
    init(_ slots: SlotTable, limit: Int? = nil) throws(Errno) {
        self.slots = slots
        self.limit = Limit("--limit-inodes", limit, possible: Int(slots.capacity) - 2, of: "known inodes")
        index = Mutex(try IdentityIndex(slots))
    }

    func record(_ slot: UInt32) -> InodeRecord { InodeRecord(slots, slot: slot) }

    /// A known object, without counting.
    func find(_ identity: Identity) -> NodeID? {
        index.withLock { index in
            index.find(identity).map { NodeID(rawValue: slots.identifier(of: $0.slot)) }
        }
    }

    /// The same by what the version table and the journal name objects by.
    func find(_ key: FileKey) -> (node: NodeID, type: UInt32)? {
        index.withLock { index in
            index.find(device: key.device, number: key.number).map {
                (NodeID(rawValue: slots.identifier(of: $0.slot)), $0.type)
            }
        }
    }

    /// Counts one more lookup of a known object.
    func reference(_ identity: Identity) -> NodeID? {
        index.withLock { index in
            guard let record = index.find(identity) else { return nil }
            record.lookups &+= 1
            return NodeID(rawValue: slots.identifier(of: record.slot))
        }
    }

    /// Counts one lookup of an object: of its record if there is one by now, else of a new one that refers to it by
    /// `descriptor` (−1 if there is none) or `handle`.
    ///
    /// - Returns: nil when the guest knows as many as it may; `isNew` false when the descriptor or handle was not needed.
    func insert(
        _ identity: Identity, descriptor: Int32, handle: FileHandleBuffer?, flags: Int
    ) -> (node: NodeID, isNew: Bool)? {
        index.withLock { index in
            if let record = index.find(identity) {
                record.lookups &+= 1
                return (NodeID(rawValue: slots.identifier(of: record.slot)), false)
            }
            guard slots.liveCount < limit.maximum + 1, let slot = slots.allocate() else { return nil }
            let record = InodeRecord(slots, slot: slot)
            record.initialize(identity, descriptor: descriptor, flags: UInt32(truncatingIfNeeded: flags))
            if let handle { unsafe record.storeHandle(handle.address, byteCount: handle.byteCount) }
            record.lookups = 1
            slots.publish(slot)
            index.insert(record)
            return (NodeID(rawValue: slots.identifier(of: slot)), true)
        }
    }

    /// Takes back `count` lookups. Returns the slot if those were the last: the caller disposes of it.
    func forget(_ node: NodeID, count: UInt64) -> UInt32? {
        index.withLock { index in
            guard let slot = slots.find(node.rawValue), slot != Self.rootSlot else { return nil }
            let record = InodeRecord(slots, slot: slot)
            record.lookups -= min(count, record.lookups)
            guard record.lookups == 0 else { return nil }
            index.remove(record)
            slots.retire(slot)
            return slot
        }
    }

    /// Forgets whatever is at `slot` entirely; false if nothing is.
    func drop(_ slot: UInt32) -> Bool {
        index.withLock { index in
            guard slot != Self.rootSlot, slots.isLive(slot) else { return false }
            index.remove(InodeRecord(slots, slot: slot))
            slots.retire(slot)
            return true
        }
    }

    /// The object is gone from the host: a later one with the same identity shall get a record of its own.
    func unindex(_ record: InodeRecord) {
        guard record.slot != Self.rootSlot else { return }
        index.withLock { $0.remove(record) }
    }

    /// Gives a retired slot back that nobody uses any more.
    func free(_ slot: UInt32) {
        index.withLock { _ in slots.free(slot) }
    }

    /// The guest knows as many as it may. The root is not counted.
    var isFull: Bool { knownCount > limit.maximum }

    var knownCount: Int { index.withLock { _ in Int(slots.liveCount) } }
}
