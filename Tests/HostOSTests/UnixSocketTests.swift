// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct UnixSocketTests {
    @Test func pairIsConnectedAndCloseOnExec() throws {
        try SocketPair().split { (first, second) throws(Errno) in
            let ends = (first.rawValue, second.rawValue)
            #expect(fcntl(ends.0, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(ends.1, F_GETFD) & FD_CLOEXEC != 0)
            var byte: UInt8 = 42
            #expect(write(ends.0, &byte, 1) == 1)
            byte = 0
            #expect(read(ends.1, &byte, 1) == 1)
            #expect(byte == 42)
        }
    }

    @Test func socketFlags() throws {
        let blocking = try makeUnixSocket()
        let nonblocking = try makeUnixSocket(nonblocking: true)
        let numbers = (blocking.rawValue, nonblocking.rawValue)
        #expect(fcntl(numbers.0, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(numbers.0, F_GETFL) & O_NONBLOCK == 0)
        #expect(fcntl(numbers.1, F_GETFL) & O_NONBLOCK != 0)
    }

    /// The empty path would be an autobound abstract name, a NUL would cut the path short.
    @Test func pathsThatAreNone() throws {
        let socket = try makeUnixSocket()
        let number = socket.rawValue
        let cases = [
            ("", Errno.EINVAL), ("/tmp/a\0b", .EINVAL), (String(repeating: "s", count: 108), .ENAMETOOLONG),
        ]
        for (path, error) in cases {
            #expect(throws: error) { try bindUnixSocket(number, to: path) }
            #expect(throws: error) { try connectUnixSocket(number, to: path) }
        }
        #expect(throws: Errno.ENOENT) { try connectUnixSocket(number, to: "/nonexistent/vfs.sock") }
    }
}
