// SPDX-License-Identifier: Apache-2.0
import Errors

/// VFIO PCI interrupt indexes.
package enum InterruptIndex: UInt32, CaseIterable, Sendable {
    case intx = 0, msi, msix, error, request
}

/// What DEVICE_GET_IRQ_INFO tells of an index.
package struct InterruptInfo: Equatable, Sendable {
    /// How many interrupts the index has; 0 if the device has none of the kind.
    package var count: UInt32
    /// The client can mask and unmask them, and one that was sent is masked until it unmasks it (INTx).
    package var isMaskable: Bool
    /// They are assigned all at once; more cannot be added later.
    package var noResize: Bool

    package init(count: UInt32, isMaskable: Bool = false, noResize: Bool = false) {
        self.count = count
        self.isMaskable = isMaskable
        self.noResize = noResize
    }

    private static let byteCount = 16
    private static let eventFlag: UInt32 = 1 << 0
    /// MASKABLE and AUTOMASKED.
    private static let maskableFlags: UInt32 = 1 << 1 | 1 << 2
    private static let noResizeFlag: UInt32 = 1 << 3

    /// The request: `u32 argsz, flags, index, count`, of which the first and third mean something.
    static func decodeRequest(_ payload: [UInt8]) throws(Errno) -> InterruptIndex {
        var reader = try WireReader(payload, expecting: byteCount)
        let limit = try reader.u32()
        _ = try reader.u32()
        guard limit >= UInt32(byteCount), let index = InterruptIndex(rawValue: try reader.u32()) else {
            throw .EINVAL
        }
        return index
    }

    /// The reply, in the fields of the request.
    func encoded(_ index: InterruptIndex) -> [UInt8] {
        var flags = Self.eventFlag
        if isMaskable { flags |= Self.maskableFlags }
        if noResize { flags |= Self.noResizeFlag }
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.u32(UInt32(truncatingIfNeeded: Self.byteCount))
        writer.u32(flags)
        writer.u32(index.rawValue)
        writer.u32(count)
        return writer.bytes
    }
}
