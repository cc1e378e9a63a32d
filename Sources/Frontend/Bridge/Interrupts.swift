// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Finds the request that an INTERRUPT of the kernel means. Any channel may bring it, even before the thread that has read
/// the request itself has given it to the device; were it lost then, the caller could wait for ever.
final class Interrupts: Sendable {
    private let lanes: [Lane]
    /// Uniques of INTERRUPTs that found no request. The oldest makes way: its request has been answered long ago.
    private let early: Mutex<[UInt64]>
    private let earlyCount = Atomic<Int>(0)

    private static let capacity = 32

    init(lanes: [Lane]) {
        self.lanes = lanes
        var list: [UInt64] = []
        list.reserveCapacity(Self.capacity)
        early = Mutex(list)
    }

    /// The kernel wants `unique` interrupted.
    func interrupt(_ unique: UInt64) {
        early.withLock { list in
            if list.count == Self.capacity { list.removeFirst() }
            list.append(unique)
            earlyCount.store(list.count, ordering: .sequentiallyConsistent)
        }
        // Either this look finds the request at the device, or `submitted` finds the entry just made.
        for lane in lanes where lane.interrupt(unique) {
            _ = forget(unique)
            return
        }
    }

    /// The device has got `unique` on `lane`.
    func submitted(_ unique: UInt64, on lane: Lane) {
        if earlyCount.load(ordering: .sequentiallyConsistent) == 0 { return }
        if forget(unique) { lane.sendInterrupt(of: unique) }
    }

    private func forget(_ unique: UInt64) -> Bool {
        early.withLock { list in
            guard let index = list.firstIndex(of: unique) else { return false }
            list.remove(at: index)
            earlyCount.store(list.count, ordering: .sequentiallyConsistent)
            return true
        }
    }
}
