// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS
import StateArena
import Synchronization

/// What the guest has open. Finding takes no lock.
final class HandleTable: Sendable {
    let slots: SlotTable
    private let changes = Mutex<Void>(())

    let limit: Limit

    /// - Parameter limit: of what the guest has open at a time; nil: what there is room for.
    init(_ slots: SlotTable, limit: Int? = nil) {
        self.slots = slots
        self.limit = Limit(
            "--limit-open-files", limit, possible: Int(slots.capacity) - 1, of: "open files")
    }

    /// The guest has as much open as it may.
    var isFull: Bool { changes.withLock { _ in slots.liveCount >= limit.maximum } }

    func record(_ slot: UInt32) -> HandleRecord { HandleRecord(slots, slot: slot) }

    /// Stores an open descriptor; nil when the guest has as many as it may.
    func insert(node: NodeID, descriptor: Int32, kind: UInt32, openFlags: UInt32) -> HandleID? {
        changes.withLock { _ in
            guard slots.liveCount < limit.maximum, let slot = slots.allocate() else { return nil }
            record(slot).initialize(
                node: node.rawValue, descriptor: descriptor, kind: kind, openFlags: openFlags)
            slots.publish(slot)
            return HandleID(rawValue: slots.identifier(of: slot))
        }
    }

    /// Makes a live handle unfindable; false if another thread was first.
    func retire(_ slot: UInt32) -> Bool {
        changes.withLock { _ in
            guard slots.isLive(slot) else { return false }
            slots.retire(slot)
            return true
        }
    }

    /// Makes the live handle with this identifier unfindable and returns its slot; nil if another thread was first.
    func retire(_ identifier: UInt64) -> UInt32? {
        changes.withLock { _ in
            guard let slot = slots.find(identifier) else { return nil }
            slots.retire(slot)
            return slot
        }
    }

    /// Gives a retired slot back that nobody uses any more.
    func free(_ slot: UInt32) {
        changes.withLock { _ in slots.free(slot) }
    }
}
