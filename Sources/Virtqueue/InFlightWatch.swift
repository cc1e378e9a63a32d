// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// Knows which chains of a ring are in flight at a device that is somebody else: by reading both rings now and then.
///
/// Each ring keeps its last `size` entries, so the answer is exact as long as no more have passed between two looks. When more
/// have, nothing is known until a look finds that all chains have come back.
public struct InFlightWatch {
    private let layout: RingLayout
    /// Up to where each ring has been read.
    private var available: UInt16
    private var used: UInt16
    /// By head: how often it was made available less how often it was used. 1: in flight.
    private var balance: [Int]
    private var isLost = false

    /// - Parameter nextAvailable: where the device begins; nothing may be in flight then.
    public init(_ layout: RingLayout, nextAvailable: UInt16) {
        self.layout = layout
        available = nextAvailable
        used = layout.used.loadAcquire16(RingLayout.indexOffset)
        balance = [Int](repeating: 0, count: layout.size)
    }

    /// Takes note of what has happened since the last look.
    ///
    /// - Returns: whether anything has.
    @discardableResult
    public mutating func look() -> Bool {
        // Used first: what it has was made available before.
        let newUsed = layout.used.loadAcquire16(RingLayout.indexOffset)
        let newAvailable = layout.available.loadAcquire16(RingLayout.indexOffset)
        let (begun, ended) = (newAvailable &- available, newUsed &- used)
        if begun == 0, ended == 0 { return false }
        if begun > layout.size || ended > layout.size {
            isLost = true
        } else {
            for step in 0..<begun {
                let head = layout.available.loadRelaxed16(layout.availableEntryOffset(available &+ step))
                if head < layout.size { balance[Int(head)] += 1 }
            }
            for step in 0..<ended {
                let head = layout.used.loadRelaxed32(layout.usedElementOffset(used &+ step))
                if head < layout.size { balance[Int(head)] -= 1 }
            }
        }
        (available, used) = (newAvailable, newUsed)
        // Entries are overwritten when the driver goes on by a whole ring, which it may have done while we read.
        let passed = layout.available.loadAcquire16(RingLayout.indexOffset) &- newAvailable &+ begun
        if passed > layout.size { isLost = true }
        if newAvailable == newUsed {
            isLost = false
            for index in balance.indices { balance[index] = 0 }
        }
        return true
    }

    /// The heads of the chains in flight, as of the last look; nil when too much has passed unseen.
    public var heads: [UInt16]? {
        let heads = balance.indices.filter { balance[$0] == 1 }.map { UInt16($0) }
        return isLost || heads.count != Int(available &- used) ? nil : heads
    }

    /// How many chains are in flight, which is known in any case.
    public var count: Int { Int(available &- used) }
    /// The index of the next available entry.
    public var nextAvailable: UInt16 { available }
}
