// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory

/// The negotiated features that change how a ring works; the bit positions are virtio's.
public struct RingFeatures: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// VIRTIO_F_INDIRECT_DESC (28): a descriptor may name a table of descriptors.
    public static let indirectDescriptors = RingFeatures(rawValue: 1 << 28)
    /// VIRTIO_F_EVENT_IDX (29): each side says at which index it wants to be notified.
    public static let eventIndex = RingFeatures(rawValue: 1 << 29)
    /// All that this room implements.
    public static let all: RingFeatures = [.indirectDescriptors, .eventIndex]

    /// The ring features among a device's negotiated `features`.
    public init(negotiated features: UInt64) { self = RingFeatures(rawValue: features).intersection(.all) }
}

/// Where the three parts of a split ring lie, and their format (virtio 1.3 §2.7; little-endian, as our hosts are).
/// ```
/// descriptors  { le64 address; le32 length; le16 flags; le16 next; }                16 × size bytes, aligned to 16
/// available    { le16 flags; le16 index; le16 ring[size]; le16 used_event; }        6 + 2 × size, aligned to 2
/// used         { le16 flags; le16 index; {le32 id; le32 length;} ring[size]; le16 avail_event; }
///                                                                                   6 + 8 × size, aligned to 4
/// ```
public struct RingLayout: Sendable {
    /// The largest size that virtio allows for a split ring.
    public static let maximumSize = 32768

    /// Descriptors in the ring: a power of two.
    public let size: Int
    public let descriptors: SharedArea
    public let available: SharedArea
    public let used: SharedArea
    /// Keeps the areas mapped.
    private let memory: GuestMemory?

    /// No ring: no size and no memory.
    static let none = RingLayout()

    private init() {
        size = 0
        (descriptors, available, used) = (.empty, .empty, .empty)
        memory = nil
    }

    /// A ring at three addresses of the VMM's own (VHOST_USER_SET_VRING_NUM and SET_VRING_ADDR).
    ///
    /// - Parameter maximumSize: the largest size to accept.
    /// - Throws: EINVAL when `size` is no power of two or too large, or an address is misaligned; EFAULT when one of
    ///   the parts does not lie in one region of `memory`.
    public init(
        size: Int, maximumSize: Int = 1024, userDescriptors: UInt64, userAvailable: UInt64, userUsed: UInt64,
        memory: GuestMemory
    ) throws(Errno) {
        try Self.check(size: size, maximumSize: maximumSize)
        self.size = size
        self.memory = memory
        descriptors = try memory.area(
            atUser: userDescriptors, byteCount: Self.descriptorsByteCount(size), alignment: 16)
        available = try memory.area(
            atUser: userAvailable, byteCount: Self.availableByteCount(size), alignment: 2)
        used = try memory.area(atUser: userUsed, byteCount: Self.usedByteCount(size), alignment: 4)
    }

    /// A ring whose parts follow one another from the guest address `base`, as `contiguousByteCount` says: how a
    /// driver of ours lays out a ring in memory it owns. The same errors.
    public init(
        size: Int, maximumSize: Int = RingLayout.maximumSize, contiguousAt base: GuestAddress,
        memory: GuestMemory
    ) throws(Errno) {
        try Self.check(size: size, maximumSize: maximumSize)
        let whole = try memory.area(at: base, byteCount: Self.contiguousByteCount(size), alignment: 16)
        self.size = size
        self.memory = memory
        descriptors = whole.part(at: 0, byteCount: Self.descriptorsByteCount(size))
        available = whole.part(at: Self.availableOffset(size), byteCount: Self.availableByteCount(size))
        used = whole.part(at: Self.usedOffset(size), byteCount: Self.usedByteCount(size))
    }

    private static func check(size: Int, maximumSize: Int) throws(Errno) {
        guard size > 0, size & (size - 1) == 0, size <= min(maximumSize, Self.maximumSize) else {
            throw .EINVAL
        }
    }

    // MARK: Sizes, in bytes, for a valid ring size

    public static func descriptorsByteCount(_ size: Int) -> Int { 16 * size }
    public static func availableByteCount(_ size: Int) -> Int { 6 + 2 * size }
    public static func usedByteCount(_ size: Int) -> Int { 6 + 8 * size }

    // A contiguous ring gives each part its own cache lines: the two sides write different parts.

    /// Where the available ring begins in a contiguous ring.
    public static func availableOffset(_ size: Int) -> Int { roundToCacheLine(descriptorsByteCount(size)) }
    /// Where the used ring begins in a contiguous ring.
    public static func usedOffset(_ size: Int) -> Int {
        availableOffset(size) + roundToCacheLine(availableByteCount(size))
    }
    /// How much memory a contiguous ring takes.
    public static func contiguousByteCount(_ size: Int) -> Int {
        usedOffset(size) + roundToCacheLine(usedByteCount(size))
    }
    private static func roundToCacheLine(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }

    // MARK: Places in the parts

    /// Where both rings keep their flags and their index.
    static let flagsOffset = 0
    static let indexOffset = 2
    /// `available.flags` and `used.flags` bit 0: the writer does not want to be notified. Ignored with EVENT_IDX.
    static let noNotification: UInt16 = 1

    func availableEntryOffset(_ index: UInt16) -> Int { 4 + 2 * (Int(index) & (size - 1)) }
    func usedElementOffset(_ index: UInt16) -> Int { 4 + 8 * (Int(index) & (size - 1)) }
    /// In the available ring: the used index at which the driver wants an interrupt.
    var usedEventOffset: Int { 4 + 2 * size }
    /// In the used ring: the available index at which the device wants a kick.
    var availableEventOffset: Int { 4 + 8 * size }
}

/// Whether the step of an index from `old` to `new` passed `event`, the index after which the other side asked to be
/// notified (vring_need_event of virtio 1.3 §2.7.7.2); right across the wrap at 2^16.
func passes(event: UInt16, from old: UInt16, to new: UInt16) -> Bool {
    new &- event &- 1 < new &- old
}
