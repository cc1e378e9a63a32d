// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct ProcessMemoryTests {
    private func bytes(_ address: UnsafeRawPointer, _ count: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try span.withUnsafeMutableBytes { (target) throws(Errno) in
            try readOwnMemory(address, into: target)
        }
        return bytes
    }

    /// A reservation with a piece of a file in it: what is there, what is not, and what is no longer.
    @Test func errorsInsteadOfSignals() throws {
        let file = try makeMemoryFile(name: "file", byteCount: 8192)
        let space = try AddressReservation(byteCount: 4 * 4096)
        #expect(throws: Errno.EFAULT) { try bytes(space.base, 1) }
        try space.map(file.rawValue, fileOffset: 0, at: 4096, byteCount: 8192, writable: true)
        try [UInt8]([1, 2, 3]).withUnsafeBytes { try writeOwnMemory(space.base + 4096 + 4095, $0) }
        #expect(try bytes(space.base + 4096 + 4094, 4) == [0, 1, 2, 3])
        #expect(throws: Errno.EFAULT) { try bytes(space.base + 4095, 2) }
        #expect(throws: Errno.EFAULT) { try bytes(space.base + 4096, 8193) }
        #expect(ftruncate(file.rawValue, 4096) == 0)
        #expect(try bytes(space.base + 4096, 4096).last == 1)
        #expect(throws: Errno.EFAULT) { try bytes(space.base + 8192, 1) }
        #expect(throws: Errno.EFAULT) {
            try [UInt8]([1]).withUnsafeBytes { try writeOwnMemory(space.base + 8192, $0) }
        }
        try space.clear(at: 4096, byteCount: 4096)
        #expect(throws: Errno.EFAULT) { try bytes(space.base + 4096, 1) }
        #expect(try bytes(space.base, 0) == [])
    }

    @Test func whatIsMappedForReadingIsNotWritten() throws {
        let file = try makeMemoryFile(name: "file", byteCount: 4096)
        let space = try AddressReservation(byteCount: 4096)
        try space.map(file.rawValue, fileOffset: 0, at: 0, byteCount: 4096, writable: false)
        try space.synchronize(at: 0, byteCount: 4096)
        #expect(throws: Errno.EFAULT) {
            try [UInt8]([1]).withUnsafeBytes { try writeOwnMemory(space.base, $0) }
        }
        #expect(try bytes(space.base, 1) == [0])
        #expect(throws: Errno.EBADF) {
            try space.map(-1, fileOffset: 0, at: 0, byteCount: 4096, writable: false)
        }
    }
}
