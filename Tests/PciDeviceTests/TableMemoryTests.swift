// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@testable import PciDevice

@Suite struct TableMemoryTests {
    @Test func memoryOfItsOwn() throws {
        let tables = try TableMemory(tableByteCount: 2 << 20, journalByteCount: 4 << 20)
        #expect(tables.byteCount == 6 << 20)
        #expect(try tables.read((6 << 20) - 4, count: 4) == [0, 0, 0, 0])
        // Whoever gets the descriptor cannot write.
        #expect(fcntl(tables.file, F_GETFL) & O_ACCMODE == O_RDONLY)
    }

    @Test func sizesThatAGuestCannotMap() {
        for (table, journal): (UInt64, UInt64) in [
            (0, 0), (1 << 20, 0), (2 << 20, 1), (1 << 41, 0), (.max, 2 << 20), (.max - 0x1f_ffff, 2 << 20),
        ] {
            #expect(throws: Errno.EINVAL) {
                _ = try TableMemory(tableByteCount: table, journalByteCount: journal)
            }
        }
    }

    @Test func aFileOfOthers() throws {
        let file = try makeMemoryFile(name: "table", byteCount: 6 << 20)
        let path = "/proc/self/fd/\(file.rawValue)"
        let tables = try TableMemory(path: path, journalByteCount: 2 << 20)
        #expect(tables.tableByteCount == 4 << 20 && tables.journalByteCount == 2 << 20)
        #expect(pwrite(file.rawValue, "shared", 6, 4096) == 6)
        #expect(try tables.read(4096, count: 6) == Array("shared".utf8))
        #expect(throws: Errno.EINVAL) { _ = try TableMemory(path: path, journalByteCount: 6 << 20) }
        #expect(throws: Errno.EINVAL) { _ = try TableMemory(path: path, journalByteCount: 1 << 20) }
        #expect(throws: Errno.EINVAL) { _ = try TableMemory(path: "/tmp", journalByteCount: 0) }
        #expect(throws: Errno.ENOENT) { _ = try TableMemory(path: "/nonexistent", journalByteCount: 0) }
        // With the page that is nobody's but the daemons'.
        #expect(ftruncate(file.rawValue, (6 << 20) + 4096) == 0)
        let shown = try TableMemory(path: path, journalByteCount: 2 << 20)
        #expect(shown.tableByteCount == 4 << 20 && shown.byteCount == 6 << 20)
        #expect(ftruncate(file.rawValue, 0) == 0)
        #expect(throws: Errno.EIO) { _ = try tables.read(0, count: 1) }
    }
}
