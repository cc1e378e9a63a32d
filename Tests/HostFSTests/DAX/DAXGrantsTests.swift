// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import StateArena
import Testing

@testable import HostFS

@Suite struct DAXGrantsTests {
    private func status(_ size: Int, mode: mode_t = 0o644) throws -> FileStatus {
        let directory = try TemporaryDirectory(prefix: "dax")
        let file = OwnedDescriptor(
            adopting: try systemCall { open(directory.path + "/f", O_RDWR | O_CREAT, 0o600) })
        _ = try systemCall { fchmod(file.rawValue, mode) }
        _ = try systemCall { ftruncate(file.rawValue, size) }
        return try FileStatus(of: file.rawValue)
    }

    @Test func whatFitsTogether() throws {
        var options = DAXOptions()
        options.minimumByteCount = 1
        let grants = DAXGrants(chunks: 4, options, anySize: true)
        let (large, small, larger) = (
            try status(3 << 21), try status(40000), try status((4 << 21) + 1)
        )
        #expect(!grants.takes(larger, readOnly: false))
        #expect(grants.takes(large, readOnly: false))
        #expect(grants.takes(small, readOnly: false))
        let third = try status(40000)
        #expect(!grants.takes(third, readOnly: false))
        #expect(grants.takes(large, readOnly: false))
        grants.remove(Identity(large))
        #expect(grants.takes(third, readOnly: false))
        grants.removeAll()
        #expect(grants.takes(large, readOnly: false))
    }

    @Test func notPrograms() throws {
        let grants = DAXGrants(chunks: 100, DAXOptions(), anySize: true)
        #expect(!grants.takes(try status(1 << 20, mode: 0o755), readOnly: false))
        #expect(!grants.takes(try status(1 << 20, mode: 0o601), readOnly: false))
        #expect(!grants.takes(try status((1 << 20) - 1), readOnly: false))
        #expect(grants.takes(try status(1 << 20), readOnly: false))
        #expect(!grants.takes(try status(1 << 20), readOnly: true))
        var options = DAXOptions()
        (options.mapsReadOnly, options.minimumByteCount) = (true, 1)
        let other = DAXGrants(chunks: 100, options, anySize: false)
        #expect(!other.takes(try status(0), readOnly: true))
        #expect(!other.takes(try status(4096), readOnly: true))
        #expect(other.takes(try status(1 << 21), readOnly: true))
    }
}
