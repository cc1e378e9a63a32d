// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory

/// A piece of memory that the driver gives to the device.
public struct GuestBuffer: Sendable {
    public var address: GuestAddress
    public var byteCount: UInt32

    public init(_ address: GuestAddress, byteCount: UInt32) {
        self.address = address
        self.byteCount = byteCount
    }
}

/// Memory for one indirect descriptor table: the guest's view and ours of the same bytes, 16 per descriptor.
public struct IndirectTable: Sendable {
    public let address: GuestAddress
    public let area: SharedArea

    /// - Parameter area: aligned to 16 bytes; belongs to the chain from `add` until its `popUsed`.
    public init(address: GuestAddress, area: SharedArea) {
        self.address = address
        self.area = area
    }
}

/// What the device says about a chain it has finished with.
public struct UsedElement: Equatable, Sendable {
    /// What `DriverQueue.add` returned for the chain.
    public let head: UInt16
    /// How many bytes the device wrote into the chain's writable part.
    public let written: UInt32

    public init(head: UInt16, written: UInt32) {
        self.head = head
        self.written = written
    }
}

/// The driver's side of a split ring: makes chains available and takes them back used.
///
/// Used by one thread at a time. The device is not trusted: what it writes is checked. No method allocates.
/// ```
/// let head = try queue.add(readable: request.span, writable: reply.span)   // once or more
/// queue.publish()
/// if queue.needsKick() { signal the kick eventfd }
/// …
/// queue.disableInterrupts()
/// repeat { while let element = try queue.popUsed() { … } } while queue.enableInterrupts()
/// wait for the call eventfd
/// ```
public final class DriverQueue {
    private let layout: RingLayout
    private let features: RingFeatures

    /// For each descriptor, the one after it: in its chain, or in the list of free ones.
    private var links: [UInt16]
    private var firstFree: UInt16 = 0
    /// Descriptors that belong to no chain.
    public var freeDescriptors: Int { free }
    private var free: Int

    private struct Record {
        /// Descriptors of the ring in the chain; 0 when there is no such chain.
        var descriptors = 0
        var writableByteCount: UInt64 = 0
    }
    /// By head: the chains that were added and not yet taken back.
    private var records: [Record]
    /// Chains added and not yet taken back.
    public var outstanding: Int { added }
    private var added = 0

    /// Our index in the available ring, including chains not yet published.
    public var nextAvailable: UInt16 { position }
    private var position: UInt16 = 0
    private var publishedAvailable: UInt16 = 0
    /// The available index when `needsKick` was last asked.
    private var kickedAvailable: UInt16 = 0
    /// The index of the used element that the next `popUsed` takes.
    public var nextUsed: UInt16 { usedPosition }
    private var usedPosition: UInt16 = 0
    private var knownUsed: UInt16 = 0

    /// Makes an empty ring: zeroes its memory, which the device must not be using yet.
    public init(layout: RingLayout, features: RingFeatures) {
        self.layout = layout
        self.features = features
        free = layout.size
        // The last link is never followed: every descriptor before it is free only together with it.
        links = (0..<layout.size).map { UInt16(($0 + 1) % layout.size) }
        records = Array(repeating: Record(), count: layout.size)
        layout.descriptors.zero()
        layout.available.zero()
        layout.used.zero()
    }

    /// How many descriptors the ring has.
    public var size: Int { layout.size }

    // MARK: Giving chains to the device

    /// Adds a chain; the device sees it at the next `publish`. The buffers belong to the device until `popUsed`
    /// returns the chain.
    ///
    /// - Parameters:
    ///   - readable: what the device reads, in order; may be empty.
    ///   - writable: what the device writes, in order; may be empty.
    ///   - indirectTable: where to put the chain's descriptors; it then takes one descriptor of the ring only.
    /// - Returns: the chain's head, which names it until it comes back.
    /// - Throws: ENOSPC when too few descriptors are free now; EINVAL when the chain is empty, longer than the ring or
    ///   the table, or indirect without the feature.
    public func add(
        readable: Span<GuestBuffer>, writable: Span<GuestBuffer>, indirectTable: IndirectTable? = nil
    ) throws(Errno) -> UInt16 {
        let count = readable.count + writable.count
        let head = firstFree
        var descriptors = 1
        if let indirectTable {
            guard
                features.contains(.indirectDescriptors), count > 0,
                let byteCount = UInt32(exactly: count * Descriptor.byteCount),
                byteCount <= indirectTable.area.byteCount
            else { throw .EINVAL }
            guard free > 0 else { throw .ENOSPC }
            for index in 0..<count {
                let next = index + 1 < count ? UInt16(truncatingIfNeeded: index + 1) : nil
                descriptor(index, readable, writable, next: next)
                    .store(UInt16(truncatingIfNeeded: index), in: indirectTable.area)
            }
            Descriptor(
                indirectTable.address, byteCount: byteCount, isWritable: false, isIndirect: true, next: nil
            )
            .store(head, in: layout.descriptors)
            firstFree = links[Int(head)]
        } else {
            guard count > 0, count <= layout.size else { throw .EINVAL }
            guard count <= free else { throw .ENOSPC }
            for index in 0..<count {
                let link = links[Int(firstFree)]
                descriptor(index, readable, writable, next: index + 1 < count ? link : nil)
                    .store(firstFree, in: layout.descriptors)
                firstFree = link
            }
            descriptors = count
        }
        var room: UInt64 = 0
        for index in writable.indices { room += UInt64(writable[index].byteCount) }
        records[Int(head)] = Record(descriptors: descriptors, writableByteCount: room)
        free -= descriptors
        added += 1
        layout.available.storeRelaxed16(layout.availableEntryOffset(position), head)
        position &+= 1
        return head
    }

    private func descriptor(
        _ index: Int, _ readable: Span<GuestBuffer>, _ writable: Span<GuestBuffer>, next: UInt16?
    ) -> Descriptor {
        let isWritable = index >= readable.count
        let buffer = isWritable ? writable[index - readable.count] : readable[index]
        return Descriptor(
            buffer.address, byteCount: buffer.byteCount, isWritable: isWritable, isIndirect: false, next: next
        )
    }

    /// Makes everything added so far visible to the device, with all that was written to the buffers.
    public func publish() {
        if position == publishedAvailable { return }
        layout.available.storeRelease16(RingLayout.indexOffset, position)
        publishedAvailable = position
    }

    /// Whether the device wants a kick for what was published since this was last asked. Ask once after each
    /// `publish`, and kick if so: the answer is not given twice.
    ///
    /// Spec: virtio 1.3 §2.7.13.4, §2.7.10.
    public func needsKick() -> Bool {
        let old = kickedAvailable
        if old == publishedAvailable { return false }
        // Full fence: the store of the available index before the load of the device's wish.
        SharedArea.fence()
        kickedAvailable = publishedAvailable
        if features.contains(.eventIndex) {
            let event = layout.used.loadRelaxed16(layout.availableEventOffset)
            return passes(event: event, from: old, to: publishedAvailable)
        }
        return layout.used.loadRelaxed16(RingLayout.flagsOffset) & RingLayout.noNotification == 0
    }

    // MARK: Taking chains back

    /// Whether a used chain waits; one load, for polling.
    public var hasUsed: Bool { layout.used.loadAcquire16(RingLayout.indexOffset) != usedPosition }

    /// Takes back the next used chain: its head and buffers are free again.
    /// - Returns: nil when none waits.
    /// - Throws: what is wrong with the ring; the position has not moved.
    public func popUsed() throws(RingFault) -> UsedElement? {
        if knownUsed == usedPosition {
            // Acquire: the elements before this index, and what was written to their chains, are visible after it.
            let index = layout.used.loadAcquire16(RingLayout.indexOffset)
            let waiting = index &- usedPosition
            if waiting == 0 { return nil }
            guard waiting <= publishedAvailable &- usedPosition else { throw .usedIndexJumped }
            knownUsed = index
        }
        let offset = layout.usedElementOffset(usedPosition)
        let identifier = layout.used.loadRelaxed32(offset)
        let written = layout.used.loadRelaxed32(offset + 4)
        guard let head = UInt16(exactly: identifier), head < layout.size else { throw .unknownUsedElement }
        let record = records[Int(head)]
        guard record.descriptors > 0 else { throw .unknownUsedElement }
        guard written <= record.writableByteCount else { throw .usedLengthTooLong }
        release(head, record)
        usedPosition &+= 1
        return UsedElement(head: head, written: written)
    }

    /// Puts the descriptors of a chain at the front of the free list.
    private func release(_ head: UInt16, _ record: Record) {
        var last = head
        for _ in 1..<record.descriptors { last = links[Int(last)] }
        links[Int(last)] = firstFree
        firstFree = head
        free += record.descriptors
        added -= 1
        records[Int(head)] = Record()
    }

    // MARK: Interrupts

    /// Tells the device that it need not interrupt; a hint, interrupts may still come. With EVENT_IDX that is so by
    /// itself, from the first interrupt after `enableInterrupts` on.
    public func disableInterrupts() {
        if features.contains(.eventIndex) { return }
        layout.available.storeRelaxed16(RingLayout.flagsOffset, RingLayout.noNotification)
    }

    /// Asks the device for an interrupt at the next used chain. Always call it before sleeping.
    ///
    /// - Returns: true when a used chain is there already, for which no interrupt may come: go on popping.
    public func enableInterrupts() -> Bool {
        if features.contains(.eventIndex) {
            layout.available.storeRelaxed16(layout.usedEventOffset, usedPosition)
        } else {
            layout.available.storeRelaxed16(RingLayout.flagsOffset, 0)
        }
        // Full fence: the store before the load in hasUsed, against the device's in the opposite order.
        SharedArea.fence()
        return hasUsed
    }
}
