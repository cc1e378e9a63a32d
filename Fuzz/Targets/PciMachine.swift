// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import PciDevice
import VfioUser
import VhostUser

/// A device and what must hold of it; what a session would refuse is left out.
final class PciMachine {
    let device: FileSystemDevice
    private let windowAddress = WindowAddress()
    private let hasWindow: Bool
    private let queueCount: Int
    private let maximumSize: Int
    private let features: VirtioFeatures = [.version1, .eventIndex, .indirectDescriptors]
    /// The configuration space and the registers of a device that nobody has touched.
    private var newSpace: [UInt8] = []
    private var newRegisters: [UInt8] = []
    /// The bits of the configuration space that never change.
    private var constant = [UInt8](repeating: 0xff, count: 256)
    /// The space that was last found good.
    private var goodSpace: [UInt8] = []

    private static let configuration = RegionIndex.configuration
    private static let largestTransfer = 1 << 20

    init(shape: UInt8, _ tables: TableMemory) throws {
        hasWindow = shape & 2 != 0
        let requestQueues = shape & 4 == 0 ? 1 : 3
        queueCount = 1 + requestQueues
        maximumSize = shape & 8 == 0 ? 64 : 1024
        device = try FileSystemDevice(
            DeviceShape(
                tag: "fuzz", requestQueues: requestQueues, queueSize: maximumSize, features: features,
                tables: shape & 1 == 0 ? nil : tables, windowByteCount: hasWindow ? 2 << 20 : nil),
            windowAddress: windowAddress)
        newSpace = try bytes(Self.configuration, 256)
        newRegisters = try bytes(0, 56)
        free(4, [0x07, 0x04])  // command
        free(6, [0x08])  // an interrupt is pending
        free(0x0c, [0xff, 0xff, 0, 0])
        free(0x3c, [0xff])
        freeAddresses()
        try freeCapabilities()
        try check()
    }

    // MARK: What never changes

    private func free(_ place: Int, _ bits: [UInt8]) {
        for (index, mask) in zip(place..., bits) { constant[index] &= ~mask }
    }

    /// The bits of the base addresses that are not below the size of the region.
    private func freeAddresses() {
        var bar = 0
        while bar < 6 {
            let is64 = newSpace[0x10 + 4 * bar] & 4 != 0
            let size = device.region(UInt32(bar)).size
            if size > 0 {
                free(
                    0x10 + 4 * bar,
                    (0..<(is64 ? 8 : 4)).map { UInt8(truncatingIfNeeded: ~(size - 1) >> ($0 * 8)) })
            }
            bar += is64 ? 2 : 1
        }
    }

    private func freeCapabilities() throws(Broken) {
        var place = Int(newSpace[0x34])
        for _ in 0..<48 where place != 0 {
            try demand(place >= 0x40 && place % 4 == 0 && place <= 256 - 20, "a capability at \(place)")
            switch (newSpace[place], newSpace[place + 3]) {
            case (0x11, _): free(place + 2, [0, 0xc0])
            // The one that reaches the BARs: BAR, offset and length (virtio 1.3 §4.1.4.9).
            case (0x09, 5): free(place + 4, [0xff, 0, 0, 0] + [UInt8](repeating: 0xff, count: 8))
            default: break
            }
            place = Int(newSpace[place + 1])
        }
        try demand(place == 0, "the list of capabilities has no end")
    }

    func check() throws {
        let space = try bytes(Self.configuration, 256)
        if space != goodSpace { try checkSpace(space) }
        goodSpace = space
        let address = hasWindow ? number(space, 0x20, 8) & ~0xf : 0
        try demand(
            windowAddress.current ?? 0 == address,
            "the window is at \(address), and known at \(windowAddress.current ?? 0)")
        try checkRegisters(try bytes(0, 56))
        let tag = try device.read(0, at: 0x2000, count: 40)
        try demand(
            tag.starts(with: Array("fuzz".utf8) + [0]) && number(tag, 36, 4) == UInt64(queueCount - 1),
            "the device's configuration became \(tag)")
    }

    private func checkSpace(_ space: [UInt8]) throws(Broken) {
        for (index, mask) in constant.enumerated() {
            try demand(
                (space[index] ^ newSpace[index]) & mask == 0,
                "byte \(index) of the configuration space became \(space[index])")
        }
    }

    /// `struct virtio_pci_common_cfg` (virtio 1.3 §4.1.4.3).
    private func checkRegisters(_ bytes: [UInt8]) throws(Broken) {
        let select = number(bytes, 0, 4)
        let offered = select < 2 ? features.rawValue >> (32 * select) & 0xffff_ffff : 0
        try demand(number(bytes, 4, 4) == offered, "the features \(select) are \(number(bytes, 4, 4))")
        try demand(number(bytes, 18, 2) == UInt64(queueCount), "\(number(bytes, 18, 2)) queues")
        try demand(bytes[20] & 0x0c != 0x04, "DRIVER_OK without FEATURES_OK")
        let size = number(bytes, 24, 2)
        if number(bytes, 22, 2) < UInt64(queueCount) {
            try demand(size.nonzeroBitCount == 1 && size <= UInt64(maximumSize), "a queue of \(size)")
        } else {
            try demand(size == 0, "a queue that is not there has \(size) descriptors")
        }
        for vector in [number(bytes, 16, 2), number(bytes, 26, 2)] {
            try demand(vector == 0xffff || vector <= UInt64(queueCount), "the vector \(vector)")
        }
    }

    private func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    // MARK: What is done to it

    /// From the beginning of a region.
    private func bytes(_ region: UInt32, _ count: Int) throws -> [UInt8] {
        let bytes = try device.read(region, at: 0, count: count)
        try demand(bytes.count == count, "\(bytes.count) bytes of \(count) of region \(region)")
        return bytes
    }

    /// Somewhere in a region, reduced to what is in it.
    func read(_ region: UInt32, _ offset: UInt32, count: Int) throws {
        let region = region % RegionIndex.count
        let info = device.region(region)
        guard info.size > 0, info.isReadable else { return }
        let offset = UInt64(offset) % info.size
        let count = min(count == 0 ? Self.largestTransfer : count, Int(info.size - offset))
        guard let bytes = try? device.read(region, at: offset, count: count) else { return }
        try demand(bytes.count == count, "\(bytes.count) bytes of \(count) at \(offset) of region \(region)")
    }

    func write(_ region: UInt32, _ offset: UInt32, _ bytes: [UInt8]) throws {
        let region = region % RegionIndex.count
        let info = device.region(region)
        guard info.size > 0, info.isWritable, !bytes.isEmpty else { return }
        let offset = UInt64(offset) % info.size
        try? device.write(region, at: offset, Array(bytes.prefix(Int(clamping: info.size - offset))))
        try check()
    }

    /// Returns whether it was mapped.
    func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws -> Bool {
        guard range.size > 0, range.isReadable || range.isWritable,
            !range.address.addingReportingOverflow(range.size).overflow
        else { return false }
        do throws(Errno) { try device.map(range, file) } catch { return false }
        return true
    }

    /// Returns whether something was unmapped.
    func unmap(_ address: UInt64, _ size: UInt64) -> Bool {
        guard size > 0, !address.addingReportingOverflow(size).overflow else { return false }
        do throws(Errno) { try device.unmap(address: address, size: size) } catch { return false }
        return true
    }

    func change(
        _ index: UInt8, _ change: UInt8, _ start: UInt32, _ count: Int, flags: UInt16, _ event: EventFD
    ) throws {
        guard let index = InterruptIndex(rawValue: UInt32(index) % 5) else { return }
        let available = device.interrupts(index).count
        let bits = (0..<count).map { $0 < 16 ? flags >> UInt16($0) & 1 != 0 : false }
        guard change % 5 == 0 || count > 0 && start <= available && count <= available - start else { return }
        var descriptors = ReceivedDescriptors()
        let wanted: InterruptChange
        switch change % 5 {
        case 0: wanted = .disable
        case 1:
            wanted = .assign(start: start, count: UInt32(count))
            if flags & 1 != 0 {
                descriptors = ReceivedDescriptors(
                    adopting: try (0..<count).map { _ in try event.descriptor.duplicate().release() })
            }
        case 2: wanted = .trigger(start: start, flags: bits)
        case 3: wanted = .mask(start: start, flags: bits)
        default: wanted = .unmask(start: start, flags: bits)
        }
        try? device.change(index, wanted, &descriptors)
    }

    /// `action` makes the device as new.
    func reset(_ action: () throws(Errno) -> Void) throws {
        try action()
        try check()
        try demand(try bytes(Self.configuration, 256) == newSpace, "the configuration space outlives a reset")
        try demand(try bytes(0, 56) == newRegisters, "the registers outlive a reset")
        try demand(try device.read(0, at: 0x1000, count: 1) == [0], "an interrupt outlives a reset")
    }
}
