// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct SetIDBitsTests {
    private func effective() throws -> UInt64 {
        var (effective, permitted, inheritable): (UInt64, UInt64, UInt64) = (0, 0, 0)
        _ = try systemCall { vfs_capget_thread(&effective, &permitted, &inheritable) }
        return effective
    }

    @Test(.enabled(if: geteuid() == 0, "needs root: CAP_FSETID to lose")) func onlyInside() throws {
        let before = try effective()
        #expect(before & 1 << 4 != 0)
        let inside = try losingSetIDBits { () throws(Errno) -> UInt64 in
            do { return try effective() } catch { throw .EIO }
        }
        #expect(inside == before & ~(1 << 4))
        #expect(try effective() == before)
        #expect(throws: Errno.EACCES) { try losingSetIDBits { () throws(Errno) in throw .EACCES } }
        #expect(try effective() == before)
    }
}
