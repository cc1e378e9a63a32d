// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import Testing
import VfioUser

@testable import PciDevice

@Suite struct GuestMapTests {
    private let map = GuestMap()

    private func range(_ address: UInt64, _ size: UInt64, offset: UInt64 = 0, writable: Bool = true)
        -> DMARange
    {
        DMARange(address: address, size: size, fileOffset: offset, isReadable: true, isWritable: writable)
    }

    private func add(_ range: DMARange, fileByteCount: Int = 1 << 20) throws {
        try map.map(range, try makeMemoryFile(name: "ram", byteCount: fileByteCount))
    }

    private var starts: [UInt64] { map.regions.map(\.region.guestAddress) }

    @Test func regionsAreForTheDaemon() throws {
        try add(range(0x10_0000, 0x10_0000, offset: 0x4000), fileByteCount: 0x20_0000)
        try add(range(0, 0xa_0000))
        // A ROM without a file and memory that cannot be written are no places for a driver's buffers.
        try map.map(range(0xf_0000, 0x1_0000), nil)
        try add(range(0xe_0000, 0x1_0000, writable: false))
        #expect(starts == [0, 0x10_0000])
        let region = try #require(map.regions.last?.region)
        #expect(region.userAddress == 0x10_0000 && region.fileOffset == 0x4000 && region.size == 0x10_0000)
        #expect(try map.mapped().regions.count == 2)
        #expect(map.holds(0x10_0000, 0x10_0000) && !map.holds(0x10_0001, 0x10_0000))
        #expect(map.holds(0x9_ffff, 1) && !map.holds(0xa_0000, 1) && !map.holds(.max, 1))
        #expect(!map.holds(0xf_0000, 1))
    }

    @Test func overlapsAreRefused() throws {
        try add(range(0x4000, 0x4000))
        for (address, size): (UInt64, UInt64) in [
            (0x4000, 0x4000), (0x3000, 0x2000), (0x7000, 0x1000), (0x5000, 0x1000), (0x1000, 0x1_0000),
        ] {
            #expect(throws: Errno.EEXIST) { try add(range(address, size)) }
        }
        try add(range(0x8000, 0x1000))
        try add(range(0x3000, 0x1000))
        #expect(starts == [0x3000, 0x4000, 0x8000])
    }

    @Test func unmapTakesWholeRanges() throws {
        for index in 0..<4 { try add(range(UInt64(index) * 0x1000, 0x1000)) }
        #expect(throws: Errno.EINVAL) { try map.unmap(address: 0x800, size: 0x1800) }
        #expect(throws: Errno.EINVAL) { try map.unmap(address: 0x1000, size: 0x1800) }
        #expect(throws: Errno.ENOENT) { try map.unmap(address: 0x4000, size: 0x1000) }
        #expect(throws: Errno.EINVAL) { try map.unmap(address: .max, size: 2) }
        try map.unmap(address: 0x1000, size: 0x2000)
        #expect(starts == [0, 0x3000])
        map.unmapAll()
        #expect(starts.isEmpty)
    }

    @Test func aFileThatIsTooShort() throws {
        try add(range(0, 0x2000), fileByteCount: 0x1000)
        #expect(throws: Errno.EINVAL) { _ = try map.mapped() }
    }

    @Test func noMoreThanTheDescriptorsAllow() throws {
        for index in 0..<GuestMap.maximumRanges { try map.map(range(UInt64(index) * 0x1000, 0x1000), nil) }
        #expect(throws: Errno.ENOSPC) { try map.map(range(1 << 40, 0x1000), nil) }
    }
}
