// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing

@Suite struct MemoryRegionTests {
    @Test func mapsTheFileFromTheOffset() throws {
        for offset in [0, 1, 0x1000, 0x1234, 0x20_0000] as [UInt64] {
            let file = try makeMemoryFile(name: "guest", byteCount: 0x40_0000)
            let copy = try file.duplicate()
            let region = try MemoryRegion(
                adopting: copy, guestAddress: GuestAddress(0x1000), byteCount: 0x1000, userAddress: 0,
                mmapOffset: offset)
            let memory = try GuestMemory(regions: [region])
            try [1, 2, 3].withUnsafeBytes { try memory.copy($0, to: GuestAddress(0x1000)) }
            var seen = [Int](repeating: 0, count: 3)
            #expect(
                seen.withUnsafeMutableBytes { pread(file.rawValue, $0.baseAddress, 24, Int(offset)) } == 24)
            #expect(seen == [1, 2, 3])
            #expect(region.mmapOffset == offset)
        }
    }

    @Test func takesTheLastByteOfTheFileAndNoMore() throws {
        _ = try makeRegion(at: 0, byteCount: 0x1000, offset: 0x1001, fileByteCount: 0x2001)
        #expect(throws: Errno.EINVAL) {
            try makeRegion(at: 0, byteCount: 0x1001, offset: 0x1001, fileByteCount: 0x2001)
        }
        #expect(throws: Errno.EINVAL) { try makeRegion(at: 0, byteCount: 0x1000, fileByteCount: 0) }
    }

    @Test func refusesEmptyAndWrappingRanges() throws {
        let huge = UInt64.max - 0xfff
        let cases: [(guest: UInt64, count: UInt64, user: UInt64, offset: UInt64)] = [
            (0, 0, 0, 0), (huge, 0x1000, 0, 0), (0, 0x1000, huge, 0), (0, 0x1000, 0, huge), (0, .max, 0, 0),
            (0, 1 << 63, 0, 0), (0, 0x1000, 0, UInt64(Int.max)), (0, 0x1000, 0, UInt64(Int.max) - 0xfff),
        ]
        for place in cases {
            #expect(throws: Errno.EINVAL) {
                try makeRegion(
                    at: place.guest, byteCount: place.count, user: place.user, offset: place.offset,
                    fileByteCount: 0x2000)
            }
        }
    }

    @Test func refusesWhatCannotBeMapped() throws {
        #expect(throws: Errno.EINVAL) {
            try MemoryRegion(
                adopting: EventFD().descriptor.duplicate(), guestAddress: GuestAddress(0), byteCount: 0x1000,
                userAddress: 0, mmapOffset: 0)
        }
        #expect(throws: Errno.EBADF) {
            try MemoryRegion(
                adopting: OwnedDescriptor(adopting: -1), guestAddress: GuestAddress(0), byteCount: 0x1000,
                userAddress: 0, mmapOffset: 0)
        }
        let file = try makeMemoryFile(name: "guest", byteCount: 0x1000)
        let readOnly = open("/proc/self/fd/\(file.rawValue)", O_RDONLY | O_CLOEXEC)
        #expect(throws: Errno.EACCES) {
            try MemoryRegion(
                adopting: OwnedDescriptor(adopting: readOnly), guestAddress: GuestAddress(0),
                byteCount: 0x1000,
                userAddress: 0, mmapOffset: 0)
        }
    }

    @Test func unmapsWithItsLastUser() throws {
        func mappings() throws -> Int {
            let maps = fopen("/proc/self/maps", "r")
            defer { fclose(maps) }
            var count = 0
            var line = [CChar](repeating: 0, count: 512)
            while fgets(&line, 512, maps) != nil { count += strstr(line, "unmap-me") == nil ? 0 : 1 }
            return count
        }
        let file = try makeMemoryFile(name: "unmap-me", byteCount: 0x3000)
        do {
            let region = try MemoryRegion(
                adopting: file, guestAddress: GuestAddress(0), byteCount: 0x1234, userAddress: 0,
                mmapOffset: 0x1100)
            let memory = try GuestMemory(regions: [region])
            let other = try memory.removing(guestAddress: GuestAddress(0), byteCount: 0x1234, userAddress: 0)
            withExtendedLifetime((memory, other)) { #expect((try? mappings()) == 1) }
        }
        #expect(try mappings() == 0)
    }
}
