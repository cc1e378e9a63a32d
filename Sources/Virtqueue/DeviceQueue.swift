// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// The device's side of a split ring: takes the driver's chains and gives them back used.
///
/// Used by one thread at a time. The driver may change any byte of the ring at any time: indices and descriptors are
/// fetched once, then checked, and nothing it can write makes this code read or write outside guest memory, loop or
/// trap. No method allocates.
///
/// A worker's round:
/// ```
/// repeat {
///     queue.disableNotifications()
///     while try queue.pop(into: chain, memory: memory) { …; queue.push(head: chain.head, written: n) }
///     queue.publish()
///     if queue.needsNotification() { signal the call eventfd }
/// } while queue.enableNotifications()
/// wait for the kick eventfd
/// ```
@safe public final class DeviceQueue {
    /// The longest indirect table that is accepted, in descriptors.
    public static let maximumIndirectDescriptors = 2048

    private var layout: RingLayout
    private var features: RingFeatures = []

    /// The index of the available entry that the next pop takes: the answer to VHOST_USER_GET_VRING_BASE.
    public var nextAvailable: UInt16 { position }
    private var position: UInt16 = 0
    /// The driver's index as last seen: entries before it are known to be there.
    private var knownAvailable: UInt16 = 0
    /// Our index in the used ring, including elements not yet published.
    private var nextUsed: UInt16 = 0
    /// The used index that the driver can see.
    private var publishedUsed: UInt16 = 0
    /// The used index when `needsNotification` was last asked.
    private var notifiedUsed: UInt16 = 0
    /// Whether nothing was published yet. What the driver missed before us is not known, so the first batch notifies.
    private var isFirstBatch = true

    /// Chains popped and not yet pushed.
    public var inFlight: Int { popped }
    private var popped = 0

    /// Private copies of indirect tables that cannot be read in place.
    private let indirectTable: SharedArea
    private let indirectStorage: UnsafeMutableRawPointer

    /// A queue without a ring: `start` gives it one, and nothing but `start` and `stop` may be called before.
    public init() {
        layout = .none
        let byteCount = Self.maximumIndirectDescriptors * Descriptor.byteCount
        unsafe indirectStorage = .allocate(byteCount: byteCount, alignment: Descriptor.byteCount)
        // SAFETY: the storage lives as long as this object; `gather` reads only what `table` has written.
        indirectTable = unsafe SharedArea(base: indirectStorage, byteCount: byteCount)
    }

    /// A queue that is started at once.
    public convenience init(layout: RingLayout, nextAvailable: UInt16 = 0, features: RingFeatures) {
        self.init()
        start(layout, nextAvailable: nextAvailable, features: features)
    }

    deinit { unsafe indirectStorage.deallocate() }

    /// Starts a ring where the driver and an earlier device left it.
    ///
    /// - Parameter nextAvailable: VHOST_USER_SET_VRING_BASE. The used index is taken from the ring's memory.
    public func start(_ layout: RingLayout, nextAvailable: UInt16, features: RingFeatures) {
        self.layout = layout
        self.features = features
        position = nextAvailable
        knownAvailable = nextAvailable
        nextUsed = layout.used.loadAcquire16(RingLayout.indexOffset)
        publishedUsed = nextUsed
        notifiedUsed = nextUsed
        isFirstBatch = true
        popped = 0
    }

    /// Lets go of the ring and its memory. `nextAvailable` stays.
    public func stop() { layout = .none }

    /// How many descriptors the ring has.
    public var size: Int { layout.size }

    /// Goes on with the same ring at other host addresses, after the memory table changed. The ring's content must be
    /// the same: the size is, and all indices continue.
    public func relocate(to layout: RingLayout) {
        precondition(layout.size == self.layout.size, "a ring does not change its size while it runs")
        self.layout = layout
    }

    // MARK: Taking chains

    /// Whether a chain waits; one load, for polling.
    public var hasAvailable: Bool { availableCount != 0 }

    /// How many chains wait, as the driver says it: unchecked, for polling.
    public var availableCount: Int {
        Int(layout.available.loadAcquire16(RingLayout.indexOffset) &- position)
    }

    /// Takes the next available chain, if there is one, and puts it into `chain`.
    ///
    /// Spec: virtio 1.3 §2.7.6 (available ring), §2.7.5 (descriptor table), §2.7.5.3 (indirect descriptors).
    /// Descriptors of length 0 are skipped; either direction may be empty.
    /// - Parameter memory: translates the chain's addresses.
    /// - Returns: false when the ring is empty; `chain` is then unchanged.
    /// - Throws: what is wrong with the ring; `chain` then holds nothing usable and the position has not moved.
    /// - Complexity: O(descriptors in the chain), no allocation.
    public func pop(into chain: Chain, memory: GuestMemory) throws(RingFault) -> Bool {
        if knownAvailable == position {
            // Acquire: the entries and descriptors before this index are visible after it.
            let index = layout.available.loadAcquire16(RingLayout.indexOffset)
            let waiting = index &- position
            if waiting == 0 { return false }
            guard waiting <= layout.size else { throw .availableIndexJumped }
            knownAvailable = index
        }
        try take(
            layout.available.loadRelaxed16(layout.availableEntryOffset(position)), into: chain, memory: memory
        )
        position &+= 1
        lookAhead(chain.near)
        return true
    }

    /// Leaves the chain that the last `pop` took, for whoever comes next. Once, and before anything else.
    public func putBack() {
        position &-= 1
        popped -= 1
    }

    /// Takes the chain that begins at descriptor `head`, wherever it stands in the available ring: one that an earlier device has
    /// left behind. The same errors as `pop`.
    public func take(_ head: UInt16, into chain: Chain, memory: GuestMemory) throws(RingFault) {
        guard popped < layout.size else { throw .tooManyInFlight }
        guard head < layout.size else { throw .headOutOfRange }
        chain.begin(head: head, memory: memory)
        var run = Chain.Run()
        if let indirect = try gather(
            layout.descriptors, count: layout.size, from: head, into: chain, &run, memory: memory)
        {
            let (table, count) = try table(of: indirect, chain, memory: memory)
            let nested = try gather(table, count: count, from: 0, into: chain, &run, memory: memory)
            guard nested == nil else { throw .nestedIndirect }
        }
        try chain.finish(run, memory: memory)
        popped += 1
    }

    /// Asks the CPU for what the next pops will read, while this request is served: the guest has written it on another CPU, so
    /// that each of these reads would wait for that. One step a pop: the descriptor of the chain after the next two, the
    /// table of the one after the next, the request of the next. All of it is read again, and checked, by its pop.
    /// What does not lie near the last request is left alone.
    private func lookAhead(_ memory: MemoryStretch) {
        let known = knownAvailable &- position
        guard known > 0 else { return }
        let next = peek(position)
        if next.isIndirect { memory.prefetch(through: next.address) } else { memory.prefetch(next.address) }
        guard known > 1 else { return }
        memory.prefetch(peek(position &+ 1).address)
        guard known > 2 else { return }
        layout.descriptors.prefetch(Int(availableHead(position &+ 2)) * Descriptor.byteCount)
    }

    @inline(__always)
    private func peek(_ position: UInt16) -> Descriptor {
        Descriptor(availableHead(position), of: layout.descriptors)
    }

    /// The chain's first descriptor at an available entry; some descriptor where the driver names none.
    private func availableHead(_ position: UInt16) -> UInt16 {
        let head = layout.available.loadRelaxed16(layout.availableEntryOffset(position))
        return head < layout.size ? head : 0
    }

    /// Adds the descriptors of `table`, which has `count`, from `first` on to `chain`.
    /// - Returns: the indirect descriptor that the chain ends with, if it does.
    private func gather(
        _ table: SharedArea, count: Int, from first: UInt16, into chain: Chain, _ run: inout Chain.Run,
        memory: GuestMemory
    ) throws(RingFault) -> Descriptor? {
        var index = first
        for _ in 0..<count {
            let descriptor = Descriptor(index, of: table)
            if descriptor.isIndirect { return descriptor }
            try chain.append(descriptor, &run, memory: memory)
            guard descriptor.hasNext else { return nil }
            index = descriptor.next
            guard index < count else { throw .descriptorOutOfRange }
        }
        throw .chainTooLong
    }

    /// The table that `descriptor` names, and how many descriptors it has, at least one: in place, where it lies in one region, as
    /// each of its descriptors is fetched once like those of the ring; else a copy.
    private func table(
        of descriptor: Descriptor, _ chain: Chain, memory: GuestMemory
    ) throws(RingFault) -> (SharedArea, count: Int) {
        guard features.contains(.indirectDescriptors) else { throw .indirectNotNegotiated }
        guard !descriptor.hasNext else { throw .indirectWithNext }
        let byteCount = Int(descriptor.byteCount)
        guard byteCount > 0, byteCount % Descriptor.byteCount == 0, byteCount <= indirectTable.byteCount
        else {
            throw .badIndirectTableSize
        }
        let count = byteCount / Descriptor.byteCount
        if let host = unsafe chain.translate(descriptor.address, UInt64(byteCount), memory: memory),
            UInt(bitPattern: host) % 8 == 0
        {
            // SAFETY: mapped as long as the chain holds `memory`, which is longer than the table is used.
            return unsafe (SharedArea(base: host, byteCount: byteCount), count)
        }
        do {
            try unsafe memory.copy(
                from: descriptor.address,
                into: UnsafeMutableRawBufferPointer(start: indirectStorage, count: byteCount))
        } catch { throw .addressOutsideMemory }
        return (indirectTable, count)
    }

    // MARK: Giving chains back

    /// Puts a popped chain into the used ring, in any order; the driver sees it at the next `publish`.
    ///
    /// - Parameter written: how many bytes of the writable part were written, from its start.
    public func push(head: UInt16, written: UInt32) {
        layout.used.storeRelaxedPair32(layout.usedElementOffset(nextUsed), UInt32(head), written)
        nextUsed &+= 1
        popped -= 1
    }

    /// `push` and `publish` in one, for an answer that the driver shall see at once.
    public func give(head: UInt16, written: UInt32) {
        push(head: head, written: written)
        publish()
    }

    /// Makes everything pushed so far visible to the driver, with all that was written to the chains.
    public func publish() {
        if nextUsed == publishedUsed { return }
        layout.used.storeRelease16(RingLayout.indexOffset, nextUsed)
        publishedUsed = nextUsed
    }

    /// Whether the driver wants an interrupt for what was published since this was last asked. Ask once after each
    /// `publish`, and signal if so: the answer is not given twice.
    /// With EVENT_IDX the first batch always gets one.
    ///
    /// Spec: virtio 1.3 §2.7.7.
    public func needsNotification() -> Bool {
        let old = notifiedUsed
        if old == publishedUsed { return false }
        defer { isFirstBatch = false }
        // Full fence: the store of the used index before the load of the driver's wish (§2.7.7.2).
        SharedArea.fence()
        notifiedUsed = publishedUsed
        if features.contains(.eventIndex) {
            let event = layout.available.loadRelaxed16(layout.usedEventOffset)
            return isFirstBatch || passes(event: event, from: old, to: publishedUsed)
        }
        return layout.available.loadRelaxed16(RingLayout.flagsOffset) & RingLayout.noNotification == 0
    }

    // MARK: Kicks

    /// Tells the driver that it need not kick. With EVENT_IDX that is so by itself, from the first kick after
    /// `enableNotifications` on; a hint in any case, kicks may still come.
    public func disableNotifications() {
        if features.contains(.eventIndex) { return }
        layout.used.storeRelaxed16(RingLayout.flagsOffset, RingLayout.noNotification)
    }

    /// Asks the driver for a kick at the next chain. Always call it before sleeping.
    ///
    /// - Parameter count: with EVENT_IDX, how many chains the kick may wait for, at most the ring's size; without, it
    ///   comes at the first.
    /// - Returns: true when as many are there already, for which no kick may come: go on popping instead of sleeping.
    public func enableNotifications(after count: UInt16 = 1) -> Bool {
        guard features.contains(.eventIndex) else {
            layout.used.storeRelaxed16(RingLayout.flagsOffset, 0)
            SharedArea.fence()
            return hasAvailable
        }
        // virtio 1.3 §2.7.10: the driver kicks when it passes this index.
        layout.used.storeRelaxed16(layout.availableEventOffset, position &+ (count &- 1))
        // Full fence: the store before the load of the index, against the driver's in the opposite order.
        SharedArea.fence()
        return availableCount >= Int(count)
    }
}
