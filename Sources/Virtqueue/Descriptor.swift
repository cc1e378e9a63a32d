// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// struct virtq_desc (16 bytes): a private snapshot of one descriptor.
struct Descriptor {
    let address: GuestAddress
    let byteCount: UInt32
    private let flags: UInt16
    /// The descriptor that follows, if `hasNext`.
    let next: UInt16

    static let byteCount = 16
    private static let nextFlag: UInt16 = 1
    private static let writableFlag: UInt16 = 2
    private static let indirectFlag: UInt16 = 4

    /// A descriptor to be written into a table.
    init(_ address: GuestAddress, byteCount: UInt32, isWritable: Bool, isIndirect: Bool, next: UInt16?) {
        self.address = address
        self.byteCount = byteCount
        flags =
            (next == nil ? 0 : Self.nextFlag) | (isWritable ? Self.writableFlag : 0)
            | (isIndirect ? Self.indirectFlag : 0)
        self.next = next ?? 0
    }

    /// Descriptor `index` of `table`, which has more than `index`; each byte is fetched once, because the driver may
    /// change them at any time.
    init(_ index: UInt16, of table: SharedArea) {
        let (start, rest) = table.loadRelaxedPair64(Int(index) * Self.byteCount)
        address = GuestAddress(start)
        byteCount = UInt32(truncatingIfNeeded: rest)
        flags = UInt16(truncatingIfNeeded: rest >> 32)
        next = UInt16(truncatingIfNeeded: rest >> 48)
    }

    /// Writes this as descriptor `index` of `table`.
    func store(_ index: UInt16, in table: SharedArea) {
        let offset = Int(index) * Self.byteCount
        table.storeRelaxed64(offset, address.rawValue)
        table.storeRelaxed64(offset + 8, UInt64(byteCount) | UInt64(flags) << 32 | UInt64(next) << 48)
    }

    var hasNext: Bool { flags & Self.nextFlag != 0 }
    var isWritable: Bool { flags & Self.writableFlag != 0 }
    var isIndirect: Bool { flags & Self.indirectFlag != 0 }
}
