// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import PciDevice
import VfioUser
import VhostUser

/// A driver and a VMM that do anything that a vfio-user session lets through, to a device whose daemon has gone:
/// ```
/// u8 shape: 1 = tables, 2 = window, 4 = three request queues, 8 = rings of 1024; then operations, each begun by its number:
/// 0 read: u8 region; u32 offset; u8 count, 0 = as many as a message carries
/// 1 write: u8 region; u32 offset; u8 length; u8 bytes[length]
/// 2 the guest's memory: u16 offset; u8 length; u8 bytes[length]
/// 3 map: u8 page; u8 pages; u8 flags: 1 = read, 2 = write, 4 = no file, 8 = at the end of all addresses; u8 page of the file
/// 4 unmap: u8 page; u8 pages; u8 flags     5 unmap all
/// 6 interrupts: u8 index; u8 change; u8 start; u8 count; u16 flags of the first, for assign 1 = with descriptors
/// 7 reset     8 the event of the queues is taken     9 another VMM
/// ```
/// What a driver cannot change stays, registers have values that make sense, a reset makes all as new, and memory that is not mapped to
/// be written, or no longer, is not written.
final class PciTarget: FuzzTarget {
    private static let page = 4096
    private static let pages = 16
    private static let operationLimit = 256

    private let countsDescriptors: Bool
    private let tables: TableMemory
    private let memory: OwnedDescriptor
    private let event: EventFD
    /// All of `memory`.
    private let content: UnsafeMutableRawBufferPointer
    /// What it was when something was last unmapped, and what the input has put there since.
    private let written: UnsafeMutableRawBufferPointer
    /// What the device may reach now.
    private var ranges: [DMARange] = []

    init(countsDescriptors: Bool) throws {
        self.countsDescriptors = countsDescriptors
        let byteCount = Self.page * Self.pages
        tables = try TableMemory(tableByteCount: 2 << 20, journalByteCount: 4 << 20)
        let memory = try makeSealedMemoryFile(name: "fuzz-guest", byteCount: byteCount)
        let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, memory.rawValue, 0)
        guard let base, base != MAP_FAILED else { throw Errno(rawValue: errno) }
        self.memory = memory
        event = try EventFD()
        content = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
        written = .allocate(byteCount: byteCount, alignment: 8)
    }

    deinit {
        munmap(content.baseAddress, content.count)
        written.deallocate()
    }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        content.initializeMemory(as: UInt8.self, repeating: 0)
        written.initializeMemory(as: UInt8.self, repeating: 0)
        let free = try lowestFreeDescriptor()
        do {
            let machine = try PciMachine(shape: input.byte(), tables)
            ranges = []
            for _ in 0..<Self.operationLimit where !input.isEmpty { try operate(&input, machine) }
            try machine.check()
            try checkMemory()
        }
        if !countsDescriptors { return }
        try demand(try lowestFreeDescriptor() == free, "\(descriptorText(free)) outlives its device")
    }

    /// Pages that the device may not write have not been.
    private func checkMemory() throws(Broken) {
        var writable: Set<Int> = []
        for range in ranges where range.isReadable && range.isWritable {
            let first = Int(range.fileOffset) / Self.page
            writable.formUnion(first..<first + Int(range.size) / Self.page)
        }
        for page in 0..<Self.pages where !writable.contains(page) {
            let place = page * Self.page..<(page + 1) * Self.page
            let (now, before) = (
                UnsafeRawBufferPointer(content)[place], UnsafeRawBufferPointer(written)[place]
            )
            guard let now = UnsafeRawBufferPointer(rebasing: now).baseAddress,
                let before = UnsafeRawBufferPointer(rebasing: before).baseAddress
            else { continue }
            try demand(
                memcmp(now, before, Self.page) == 0, "page \(page) was written, and the device may not")
        }
    }

    /// The device loses the ranges that lie between two addresses.
    private func unmap(_ start: UInt64, _ size: UInt64) throws(Broken) {
        try checkMemory()
        ranges.removeAll { $0.address >= start && $0.address + ($0.size - 1) <= start + (size - 1) }
        written.copyMemory(from: UnsafeRawBufferPointer(content))
    }

    private func operate(_ input: inout FuzzInput, _ machine: PciMachine) throws {
        switch input.byte() % 10 {
        case 0: try machine.read(UInt32(input.byte()), input.number(), count: Int(input.byte()))
        case 1:
            let (region, offset) = (UInt32(input.byte()), input.number(UInt32.self))
            try machine.write(region, offset, Array(input.take(Int(input.byte()))))
        case 2:
            let offset = Int(input.number(UInt16.self))
            let bytes = input.take(Int(input.byte()))
            let count = min(bytes.count, content.count - offset)
            for buffer in [content, written] {
                UnsafeMutableRawBufferPointer(rebasing: buffer[offset...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count)))
            }
        case 3:
            let (page, pages, flags, filePage) = (input.byte(), input.byte(), input.byte(), input.byte())
            let range = DMARange(
                address: address(page, flags), size: UInt64(pages) * UInt64(Self.page),
                fileOffset: UInt64(filePage) * UInt64(Self.page), isReadable: flags & 1 != 0,
                isWritable: flags & 2 != 0)
            let file = flags & 4 == 0 ? try memory.duplicate() : nil
            if try machine.map(range, file), flags & 4 == 0 { ranges.append(range) }
        case 4:
            let (page, pages, flags) = (input.byte(), input.byte(), input.byte())
            let (start, size) = (address(page, flags), UInt64(pages) * UInt64(Self.page))
            if machine.unmap(start, size) { try unmap(start, size) }
        case 5:
            try machine.device.unmapAll()
            try unmap(0, .max)
        case 6:
            let (index, change, start, count) = (input.byte(), input.byte(), input.byte(), input.byte())
            try machine.change(
                index, change, UInt32(start), Int(count), flags: input.number(UInt16.self), event)
        case 7: try machine.reset { () throws(Errno) in try machine.device.reset() }
        case 8: machine.device.interruptLines.takeQueueEvent()
        default:
            try machine.reset { () throws(Errno) in machine.device.disconnect() }
            try unmap(0, .max)
        }
    }

    private func address(_ page: UInt8, _ flags: UInt8) -> UInt64 {
        UInt64(page) * UInt64(Self.page) + (flags & 8 == 0 ? 0 : UInt64.max - (1 << 20) + 1)
    }
}
