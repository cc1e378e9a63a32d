// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// What the guest's INIT offers.
package struct InitOffer: Sendable {
    /// FUSE minor of the guest, 27 or more.
    package var minor: UInt32
    /// FUSE_INIT flags: `flags` in the low half, `flags2` in the high half.
    package var flags: UInt64
    package var maxReadahead: UInt32
    /// The front-end's follower at the version table; nil: it does not want to know slots.
    package var follower: Int?

    package init(minor: UInt32, flags: UInt64, maxReadahead: UInt32) {
        self.minor = minor
        self.flags = flags
        self.maxReadahead = maxReadahead
    }
}

/// What a file system wants of the flags that the guest offered.
package struct InitChoice: Sendable {
    /// A subset of the offer; bits outside it are dropped.
    package var flags: UInt64
    /// With MAP_ALIGNMENT: log2 of the unit in bytes that SETUPMAPPING's offsets are multiples of; Linux takes at most 21.
    package var mapAlignment: UInt16
    /// Entries and attributes carry slots of the version table (`TableExtension`).
    package var tellsSlots = false

    package init(flags: UInt64, mapAlignment: UInt16 = 0) {
        self.flags = flags
        self.mapAlignment = mapAlignment
    }
}
