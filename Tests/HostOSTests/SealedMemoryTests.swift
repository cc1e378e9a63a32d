// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct SealedMemoryTests {
    @Test func nobodyShrinksIt() throws {
        let file = try makeSealedMemoryFile(name: "sealed", byteCount: 8192)
        let other = try file.duplicate()
        #expect(ftruncate(other.rawValue, 4096) == -1 && errno == EPERM)
        #expect(ftruncate(other.rawValue, 0) == -1 && errno == EPERM)
        let seals = try systemCall { vfs_fcntl_int(other.rawValue, F_GET_SEALS, 0) }
        #expect(seals == F_SEAL_SHRINK | F_SEAL_SEAL)
        #expect(vfs_fcntl_int(other.rawValue, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM)
        #expect(ftruncate(other.rawValue, 8192) == 0)
    }
}
