// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A new Unix stream socket, close-on-exec.
package func makeUnixSocket(nonblocking: Bool = false) throws(Errno) -> OwnedDescriptor {
    let type =
        Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        | (nonblocking ? Int32(SOCK_NONBLOCK.rawValue) : 0)
    return OwnedDescriptor(adopting: try systemCall { socket(AF_UNIX, type, 0) })
}

/// Two connected Unix sockets, close-on-exec.
package struct SocketPair: ~Copyable, Sendable {
    private let first: OwnedDescriptor
    private let second: OwnedDescriptor

    /// - Parameter packets: they keep messages apart (SOCK_SEQPACKET); otherwise they are streams.
    package init(packets: Bool = false) throws(Errno) {
        var numbers: (Int32, Int32) = (-1, -1)
        let kind = packets ? SOCK_SEQPACKET : SOCK_STREAM
        let type = Int32(kind.rawValue | SOCK_CLOEXEC.rawValue)
        // SAFETY: socketpair stores two numbers, which is what the tuple holds, one after the other.
        _ = try systemCall {
            unsafe withUnsafeMutablePointer(to: &numbers) {
                unsafe $0.withMemoryRebound(to: Int32.self, capacity: 2) {
                    unsafe socketpair(AF_UNIX, type, 0, $0)
                }
            }
        }
        first = OwnedDescriptor(adopting: numbers.0)
        second = OwnedDescriptor(adopting: numbers.1)
    }

    /// Hands each end to its new owner.
    package consuming func split<Result, Failure: Error>(
        _ body: (consuming OwnedDescriptor, consuming OwnedDescriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(first, second)
    }
}

/// How many bytes a Unix socket's path may have: sun_path less its NUL.
package let maximumSocketPathByteCount = 107

/// Binds a socket to a new file at `path`.
package func bindUnixSocket(_ socket: Int32, to path: String) throws(Errno) {
    let address = try unixAddress(path)
    _ = try systemCall { unsafe withSocketAddress(address) { unsafe bind(socket, $0, $1) } }
}

/// Connects a socket to the listener at `path`. A non-blocking socket gets EAGAIN when the listener's queue is full.
package func connectUnixSocket(_ socket: Int32, to path: String) throws(Errno) {
    let address = try unixAddress(path)
    _ = try systemCall { unsafe withSocketAddress(address) { unsafe connect(socket, $0, $1) } }
}

private func unixAddress(_ path: String) throws(Errno) -> sockaddr_un {
    let bytes = Array(path.utf8)
    guard bytes.count <= maximumSocketPathByteCount else { throw .ENAMETOOLONG }
    guard !bytes.isEmpty, !bytes.contains(0) else { throw .EINVAL }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: sun_path has 108 bytes, one more than the longest path copied; the rest stays zero.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    return address
}

private func withSocketAddress(
    _ address: sockaddr_un, _ call: (__CONST_SOCKADDR_ARG, socklen_t) -> Int32
) -> Int32 {
    // SAFETY: every sockaddr_un begins like a sockaddr, and the length given is its own.
    unsafe withUnsafePointer(to: address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe call(__CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
