// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import VfioUser

/// A device that finds fault with what a session should not have let through.
///
/// It keeps memory and interrupts as a real one does, so that some of what is asked fails here.
final class CheckingDevice: VfioDevice {
    private static let regions: [UInt32: RegionInfo] = [
        0: RegionInfo(size: 0x1000, isReadable: true, isWritable: true),
        1: RegionInfo(
            size: 0x4000, isReadable: true, isWritable: true, mappable: [0x1000..<0x2000, 0x3000..<0x4000]),
        2: RegionInfo(size: 0x2000, isReadable: true, isWritable: true, mappable: [0..<0x2000]),
        // Where sums of offsets and counts overflow.
        3: RegionInfo(size: .max, isReadable: false, isWritable: true),
        4: RegionInfo(size: 16, isReadable: true, isWritable: false),
        7: RegionInfo(size: 256, isReadable: true, isWritable: true),
    ]

    private let file: Int32
    private var fault: String?
    private var ranges: [DMARange] = []
    /// What the client left with us, to be closed when it goes.
    private var kept: [Int32] = []

    /// - Parameter file: what can be mapped of regions 1 and 2.
    init(file: Int32) { self.file = file }

    /// The client has gone.
    func forget() {
        ranges = []
        for number in kept { close(number) }
        kept = []
    }

    /// What was wrong first, once.
    func takeFault() -> String? {
        defer { fault = nil }
        return fault
    }

    private func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition, fault == nil { fault = what() }
    }

    func region(_ index: UInt32) -> RegionInfo {
        expect(index < RegionIndex.count, "region \(index) was asked for")
        var region = Self.regions[index] ?? .none
        if index == 1 || index == 2 { region.file = file }
        return region
    }

    func interrupts(_ index: InterruptIndex) -> InterruptInfo {
        switch index {
        case .intx: InterruptInfo(count: 1, isMaskable: true)
        case .msix: InterruptInfo(count: 20, noResize: true)
        default: InterruptInfo(count: 0)
        }
    }

    var maximumMaps: Int { 64 }

    func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws(Errno) {
        let end = range.address.addingReportingOverflow(range.size)
        let fileEnd = range.fileOffset.addingReportingOverflow(range.size)
        expect(range.size > 0 && !end.overflow && !fileEnd.overflow, "\(range) was mapped")
        expect(Int64(exactly: fileEnd.partialValue) != nil, "\(range) was mapped")
        expect(
            [range.address, range.size, range.fileOffset].allSatisfy { $0 % 4096 == 0 }, "\(range) was mapped"
        )
        expect(range.isReadable || range.isWritable, "\(range) was mapped")
        guard ranges.count < maximumMaps else { throw .ENOSPC }
        let start = range.address
        guard !ranges.contains(where: { start < $0.address + $0.size && $0.address < end.partialValue })
        else {
            throw .EEXIST
        }
        ranges.append(range)
        if let file { kept.append(file.release()) }
    }

    func unmap(address: UInt64, size: UInt64) throws(Errno) {
        expect(size > 0 && !address.addingReportingOverflow(size).overflow, "\(size) bytes were unmapped")
        guard let place = ranges.firstIndex(where: { $0.address == address && $0.size == size }) else {
            throw .ENOENT
        }
        ranges.remove(at: place)
    }

    func unmapAll() throws(Errno) { ranges = [] }

    private func checkAccess(_ index: UInt32, _ offset: UInt64, _ count: Int) -> RegionInfo {
        let region = region(index)
        let end = offset.addingReportingOverflow(UInt64(count))
        expect(
            count > 0 && count <= 1 << 20 && !end.overflow && end.partialValue <= region.size,
            "\(count) bytes at \(offset) of region \(index)")
        return region
    }

    func read(_ region: UInt32, at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        expect(checkAccess(region, offset, count).isReadable, "region \(region) was read")
        return [UInt8](repeating: UInt8(region), count: count)
    }

    func write(_ region: UInt32, at offset: UInt64, _ bytes: [UInt8]) throws(Errno) {
        expect(checkAccess(region, offset, bytes.count).isWritable, "region \(region) was written")
    }

    func change(
        _ index: InterruptIndex, _ change: InterruptChange, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno) {
        let available = Int(interrupts(index).count)
        let (start, count): (UInt32, Int)
        switch change {
        case .disable: (start, count) = (0, 0)
        case .assign(let first, let number): (start, count) = (first, Int(number))
        case .trigger(let first, let flags), .mask(let first, let flags), .unmask(let first, let flags):
            (start, count) = (first, flags.count)
        }
        expect(change == .disable || count > 0, "\(change) of no interrupt")
        expect(Int(start) + count <= available, "\(change) of \(available) interrupts")
        if case .assign = change {
            let given = descriptors.count
            expect(given == 0 || given == count, "\(change) with \(given) descriptors")
            // Half are kept, the others are the session's to close.
            while descriptors.count > given / 2, let event = descriptors.takeFirst() {
                kept.append(event.release())
            }
        } else {
            expect(descriptors.count == 0, "\(change) with descriptors")
        }
    }

    func reset() throws(Errno) {}
}
