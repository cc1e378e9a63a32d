// SPDX-License-Identifier: Apache-2.0
import HostOS

/// The 256 bytes of the device's PCI configuration space (PCI 3.0 §6.1): what it is, where its memory lies, what the guest has set.
struct ConfigurationSpace {
    static let byteCount = 256
    private static let statusOffset = 0x06
    private static let interruptPending: UInt8 = 1 << 3
    private static let commandOffset = 0x04
    private static let interruptDisable: UInt8 = 1 << 2  // of the command's second byte

    private var bytes: [UInt8]
    private let initial: [UInt8]
    /// The bits that the guest may change.
    private let writable: [UInt8]
    /// Where the capability that reaches the BARs begins.
    let accessCapability: Int

    init(_ shape: DeviceShape) {
        var bytes = [UInt8](repeating: 0, count: Self.byteCount)
        var writable = bytes
        func put(_ offset: Int, _ value: [UInt8]) {
            bytes.replaceSubrange(offset..<offset + value.count, with: value)
        }
        func free(_ offset: Int, _ mask: [UInt8]) {
            writable.replaceSubrange(offset..<offset + mask.count, with: mask)
        }
        put(0x00, [0xf4, 0x1a])  // Red Hat, for virtio
        put(0x02, [0x5a, 0x10])  // 0x1040 + 26: a file system device (virtio 1.3 §4.1.2.1)
        free(Self.commandOffset, [0x07, 0x04])  // I/O, memory, bus master; no INTx
        put(Self.statusOffset, [0x10])  // has a list of capabilities
        put(0x08, [1, 0x00, 0x80, 0x01])  // revision 1: not transitional; class: other mass storage
        free(0x0c, [0xff])  // cache line size, for the guest's own use
        free(0x0d, [0xff])  // latency timer, the same
        put(0x2c, [0xf4, 0x1a, 0x00, 0x11])  // subsystem: virtio
        put(0x34, [UInt8(CapabilityList.first)])
        free(0x3c, [0xff])  // interrupt line: a note of the firmware
        put(0x3d, [1])  // INTA

        func bar(_ number: UInt8, _ size: UInt64, is64: Bool) {
            let offset = 0x10 + 4 * Int(number)
            // Bits 1-2: 64 bits wide; bit 3: prefetchable.
            put(offset, [is64 ? 0x0c : 0])
            let mask = PciDevice.bytes(of: ~(size - 1))
            free(offset, Array(mask.prefix(is64 ? 8 : 4)))
            writable[offset] &= 0xf0
        }
        bar(BAR.registers, RegisterPart.byteCount, is64: false)
        bar(BAR.vectors, VectorTable.byteCount, is64: false)
        if let tables = shape.tables { bar(BAR.tables, barByteCount(tables.byteCount), is64: true) }
        if let window = shape.windowByteCount { bar(BAR.window, window, is64: true) }

        var list = CapabilityList()
        func part(_ kind: CapabilityList.Kind, _ offset: UInt64) {
            list.add(kind, bar: BAR.registers, offset: offset, length: RegisterPart.partByteCount)
        }
        part(.common, RegisterPart.common)
        part(.interruptStatus, RegisterPart.interruptStatus)
        part(.configuration, RegisterPart.configuration)
        list.addNotify(
            bar: BAR.registers, offset: RegisterPart.notify, length: RegisterPart.partByteCount,
            stride: RegisterPart.notifyStride)
        list.addAccess()
        accessCapability = list.last
        list.addVectors(count: shape.vectorCount)
        if let window = shape.windowByteCount {
            list.addSharedMemory(id: RegionID.window, bar: BAR.window, offset: 0, length: window)
        }
        if let tables = shape.tables {
            let places = [
                (RegionID.versionTable, 0, tables.tableByteCount),
                (RegionID.journal, tables.tableByteCount, tables.journalByteCount),
            ]
            for (id, offset, length) in places where length > 0 {
                list.addSharedMemory(id: id, bar: BAR.tables, offset: offset, length: length)
            }
        }
        put(CapabilityList.first, list.bytes)
        free(CapabilityList.first, list.writable)
        self.bytes = bytes
        initial = bytes
        self.writable = writable
    }

    /// As after power-on.
    mutating func reset() { bytes = initial }

    /// A range inside the space.
    func read(_ range: Range<Int>, interruptPending: Bool) -> [UInt8] {
        var copy = bytes
        if interruptPending { copy[Self.statusOffset] |= Self.interruptPending }
        return Array(copy[range])
    }

    /// Changes what the guest may change of a range inside the space.
    mutating func write(_ offset: Int, _ new: [UInt8]) {
        for (index, value) in zip(offset..., new) {
            bytes[index] = bytes[index] & ~writable[index] | value & writable[index]
        }
    }

    /// The guest wants no interrupts of the old kind.
    var disablesLine: Bool { bytes[Self.commandOffset + 1] & Self.interruptDisable != 0 }

    /// Where the guest sees a 64-bit BAR; 0: nowhere yet.
    func address(ofBAR number: UInt8) -> UInt64 {
        let offset = 0x10 + 4 * Int(number)
        return PciDevice.number(bytes[offset..<offset + 8]) & ~0xf
    }

    /// What the guest has written into the capability that reaches the BARs: BAR, offset and length.
    var accessTarget: (bar: UInt8, offset: UInt64, length: Int) {
        let start = accessCapability
        return (
            bytes[start + 4], PciDevice.number(bytes[start + 8..<start + 12]),
            Int(PciDevice.number(bytes[start + 12..<start + 16]))
        )
    }

    /// Where its data are.
    var accessData: Range<Int> { accessCapability + 16..<accessCapability + 20 }
}

/// Shared memory region ids (virtio 1.3 §5.11.5 knows the first, the virtio-fs RFC the others).
enum RegionID {
    static let window: UInt8 = 0
    static let versionTable: UInt8 = 1
    static let journal: UInt8 = 2
}

/// The size of a BAR is a power of two.
func barByteCount(_ byteCount: UInt64) -> UInt64 {
    byteCount <= 1 ? 1 : 1 << UInt64(64 - (byteCount - 1).leadingZeroBitCount)
}
