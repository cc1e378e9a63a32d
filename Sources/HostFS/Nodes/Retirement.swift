// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import HostOS
import StateArena
import Synchronization

/// Something that the guest or the clock has let go of, already unfindable.
enum Retired: Sendable {
    case inode(UInt32)
    case handle(UInt32)
    /// A hot descriptor that gave way.
    case descriptor(Int32)

    var pin: UInt64 {
        switch self {
        case .inode(let slot): Pin.inode(slot)
        case .handle(let slot): Pin.handle(slot)
        case .descriptor(let number): Pin.descriptor(number)
        }
    }
}

/// What some worker still uses. Never longer than what all workers can pin, so it never grows in steady state.
final class RetiredList: Sendable {
    private let waiting: Mutex<[Retired]>
    private let count = Atomic<Int>(0)

    init() {
        var list: [Retired] = []
        list.reserveCapacity(4096)
        waiting = Mutex(list)
    }

    var isEmpty: Bool { count.load(ordering: .sequentiallyConsistent) == 0 }

    func add(_ thing: Retired) {
        waiting.withLock { waiting in
            waiting.append(thing)
            count.store(waiting.count, ordering: .sequentiallyConsistent)
        }
    }

    /// Takes out one thing that nobody on `board` uses any more.
    func takeFree(_ board: PinBoard) -> Retired? {
        waiting.withLock { waiting in
            guard let index = waiting.firstIndex(where: { !board.holds($0.pin) }) else { return nil }
            let thing = waiting[index]
            waiting.swapAt(index, waiting.count - 1)
            waiting.removeLast()
            count.store(waiting.count, ordering: .sequentiallyConsistent)
            return thing
        }
    }
}

extension Share {
    /// Closes or frees `thing` now, or when the last worker that uses it has finished its request.
    func retire(_ thing: Retired) {
        guard board.holds(thing.pin) else { return dispose(thing) }
        retired.add(thing)
        // The user may have finished between the look and the entry in the list.
        collectRetired()
    }

    /// Disposes of everything retired that is no longer used.
    func collectRetired() {
        while !retired.isEmpty, let thing = retired.takeFree(board) { dispose(thing) }
    }

    /// Closes an open file of the guest that it cannot find any more.
    func closeFile(_ number: Int32, of node: NodeID) {
        // It may be lent to the inode, and be in use by that.
        inodes.record(UInt32(truncatingIfNeeded: node.rawValue)).giveBack(number)
        retire(.descriptor(number))
    }

    private func dispose(_ thing: Retired) {
        switch thing {
        case .descriptor(let number):
            _ = OwnedDescriptor(adopting: number)
        case .handle(let slot):
            let record = handles.record(slot)
            let (number, node) = (record.descriptor, NodeID(rawValue: record.node))
            handles.free(slot)
            quota.giveBack()
            closeFile(number, of: node)
        case .inode(let slot):
            let record = inodes.record(slot)
            window?.forget(record.identity)
            let number = record.takeDescriptor()
            if number >= 0 { _ = OwnedDescriptor(adopting: number) }
            if record.has(VFS_INODE_KEEPS_DESCRIPTOR) { quota.giveBack() }
            if record.has(VFS_INODE_ON_MOUNT) { mounts.release(record.mount) }
            inodes.free(slot)
        }
    }
}
