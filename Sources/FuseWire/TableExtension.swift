// SPDX-License-Identifier: Apache-2.0

/// What a front-end and a daemon of ours agree on in words of INIT that no other peer uses (docs/version-table.md): that entries and
/// attributes carry the object's slot where others have how long they are valid.
public enum TableExtension {
    /// The characters `vtb1`.
    public static let mark: UInt32 = 0x3162_7476
}

extension InitIn {
    private static let markIndex = 9
    private static let followerIndex = 10

    /// The front-end's follower, 0 to 63; nil where the front-end does not ask for slots.
    public var follower: Int? {
        get {
            guard unused[Self.markIndex] == TableExtension.mark else { return nil }
            return Int(unused[Self.followerIndex] & 63)
        }
        set {
            unused[Self.markIndex] = newValue == nil ? 0 : TableExtension.mark
            unused[Self.followerIndex] = UInt32(newValue ?? 0)
        }
    }
}

extension InitOut {
    private static let markIndex = 9

    /// Whether the daemon tells slots.
    public var tellsSlots: Bool {
        get {
            UInt32(unused[Self.markIndex]) | UInt32(unused[Self.markIndex + 1]) << 16 == TableExtension.mark
        }
        set {
            let mark = newValue ? TableExtension.mark : 0
            unused[Self.markIndex] = UInt16(truncatingIfNeeded: mark)
            unused[Self.markIndex + 1] = UInt16(truncatingIfNeeded: mark >> 16)
        }
    }
}
