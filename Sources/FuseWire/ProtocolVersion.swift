// SPDX-License-Identifier: Apache-2.0

/// The FUSE versions spoken here.
public enum ProtocolVersion {
    public static let major: UInt32 = 7
    /// What the INIT reply names: always our own newest, for the guest gates its features on it.
    public static let minor: UInt32 = 45
    /// The oldest guest served (Linux 4.18); from here on no struct but `fuse_init_in` has changed its size unasked.
    public static let oldestMinor: UInt32 = 27
}

extension InitIn {
    /// What a guest older than minor 36 sends: everything before `flags2`.
    public static let shortByteCount = 16

    /// `flags` and, where the guest says that they are meant, `flags2`.
    public var allFlags: UInt64 {
        let low = UInt64(flags)
        return low & InitFlags.initExtended == 0 ? low : low | UInt64(flags2) << 32
    }
}

extension InitOut {
    /// Sets `flags` and `flags2`; high bits count for nothing unless `InitFlags.initExtended` is among them.
    public mutating func setFlags(_ all: UInt64) {
        flags = UInt32(truncatingIfNeeded: all)
        flags2 = UInt32(truncatingIfNeeded: all >> 32)
    }
}
