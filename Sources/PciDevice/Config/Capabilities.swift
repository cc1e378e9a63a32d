// SPDX-License-Identifier: Apache-2.0

/// Where the device's memory is to be found: its base address registers, by number.
enum BAR {
    /// The virtio registers, 32-bit memory.
    static let registers: UInt8 = 0
    /// The MSI-X table and the pending bits, 32-bit memory.
    static let vectors: UInt8 = 1
    /// Version table and journal, 64-bit prefetchable memory, to be mapped by the VMM.
    static let tables: UInt8 = 2
    /// The DAX window, the same. On its own, because all of a vfio-user region has one file and one set of rights.
    static let window: UInt8 = 4
}

/// The registers in BAR 0, each part on a page of its own.
enum RegisterPart {
    static let common: UInt64 = 0x0000
    static let interruptStatus: UInt64 = 0x1000
    static let configuration: UInt64 = 0x2000
    static let notify: UInt64 = 0x3000
    static let byteCount: UInt64 = 0x4000
    static let partByteCount: UInt64 = 0x1000
    /// From one queue's notification address to the next.
    static let notifyStride: UInt32 = 4
}

/// The MSI-X table in BAR 1; the VMM keeps it, and we never see its content.
enum VectorTable {
    static let byteCount: UInt64 = 0x1000
    static let pendingBits: UInt32 = 0x800
}

/// Builds the list of capabilities in a configuration space (PCI 3.0 §6.7), one behind the other.
struct CapabilityList {
    static let first = 0x40
    private(set) var bytes: [UInt8] = []
    /// Bits that the guest may change, of `bytes`.
    private(set) var writable: [UInt8] = []
    /// Where in the configuration space the last one added begins.
    private(set) var last = 0

    private static let vendorSpecific: UInt8 = 0x09
    private static let msix: UInt8 = 0x11

    /// Adds a capability of `id`; `body` follows the two bytes that each begins with.
    private mutating func add(_ id: UInt8, _ body: [UInt8], writable mask: [UInt8] = []) {
        let place = Self.first + bytes.count
        if last != 0 { bytes[last - Self.first + 1] = UInt8(place) }
        // PCI wants each at a multiple of four.
        let size = (2 + body.count + 3) / 4 * 4
        bytes += [id, 0] + body + [UInt8](repeating: 0, count: size - 2 - body.count)
        writable += [0, 0] + mask + [UInt8](repeating: 0, count: size - 2 - mask.count)
        last = place
    }

    /// The kinds of `struct virtio_pci_cap` (virtio 1.3 §4.1.4).
    enum Kind: UInt8 {
        case common = 1, notify, interruptStatus, configuration, access
        case sharedMemory = 8
    }

    /// `struct virtio_pci_cap`: a part of the device's memory.
    mutating func add(_ kind: Kind, bar: UInt8, offset: UInt64, length: UInt64) {
        add(Self.vendorSpecific, Self.body(kind, bar, 0, offset, length, more: []))
    }

    /// `struct virtio_pci_notify_cap`.
    mutating func addNotify(bar: UInt8, offset: UInt64, length: UInt64, stride: UInt32) {
        add(Self.vendorSpecific, Self.body(.notify, bar, 0, offset, length, more: bytes(of: stride)))
    }

    /// `struct virtio_pci_cap64`: shared memory region `id`, whose offset and length have 64 bits.
    mutating func addSharedMemory(id: UInt8, bar: UInt8, offset: UInt64, length: UInt64) {
        add(
            Self.vendorSpecific,
            Self.body(
                .sharedMemory, bar, id, offset, length,
                more: bytes(of: UInt32(offset >> 32)) + bytes(of: UInt32(length >> 32))))
    }

    /// `struct virtio_pci_cfg_cap` (§4.1.4.9): reaches the BARs by way of the configuration space. The guest chooses BAR, offset
    /// and length, and finds the data in the last four bytes.
    mutating func addAccess() {
        let free: [UInt8] = [0, 0, 0xff, 0, 0, 0] + [UInt8](repeating: 0xff, count: 8)
        add(Self.vendorSpecific, Self.body(.access, 0, 0, 0, 0, more: [0, 0, 0, 0]), writable: free)
    }

    private static func body(
        _ kind: Kind, _ bar: UInt8, _ id: UInt8, _ offset: UInt64, _ length: UInt64, more: [UInt8]
    ) -> [UInt8] {
        [UInt8(16 + more.count), kind.rawValue, bar, id, 0, 0] + bytes(of: UInt32(truncatingIfNeeded: offset))
            + bytes(of: UInt32(truncatingIfNeeded: length)) + more
    }

    /// MSI-X (PCI 3.0 §6.8.2) with table and pending bits in BAR 1; enable and mask bit are the guest's.
    mutating func addVectors(count: Int) {
        add(
            Self.msix,
            bytes(of: UInt16(count - 1)) + bytes(of: UInt32(BAR.vectors))
                + bytes(of: VectorTable.pendingBits | UInt32(BAR.vectors)), writable: [0x00, 0xc0])
    }

    private func bytes<T: FixedWidthInteger>(of number: T) -> [UInt8] { PciDevice.bytes(of: number) }
    private static func bytes<T: FixedWidthInteger>(of number: T) -> [UInt8] { PciDevice.bytes(of: number) }
}
