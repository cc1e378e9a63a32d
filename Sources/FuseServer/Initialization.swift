// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// What the guest's INIT offers.
public struct InitOffer: Sendable {
    /// FUSE minor of the guest, 27 or more.
    public var minor: UInt32
    /// FUSE_INIT flags: `flags` in the low half, `flags2` in the high half.
    public var flags: UInt64
    public var maxReadahead: UInt32
    /// The front-end's follower at the version table; nil: it does not want to know slots.
    public var follower: Int?

    public init(minor: UInt32, flags: UInt64, maxReadahead: UInt32) {
        self.minor = minor
        self.flags = flags
        self.maxReadahead = maxReadahead
    }
}

/// What a file system wants of the flags that the guest offered.
public struct InitChoice: Sendable {
    /// A subset of the offer; bits outside it are dropped.
    public var flags: UInt64
    /// With MAP_ALIGNMENT: log2 of the unit in bytes that SETUPMAPPING's offsets are multiples of; Linux takes at most 21.
    public var mapAlignment: UInt16
    /// Entries and attributes carry slots of the version table (`TableExtension`).
    public var tellsSlots = false

    public init(flags: UInt64, mapAlignment: UInt16 = 0) {
        self.flags = flags
        self.mapAlignment = mapAlignment
    }
}
