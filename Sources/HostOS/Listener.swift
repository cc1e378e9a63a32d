// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A listening Unix socket on which front-ends connect.
package final class Listener: Sendable {
    /// For poll(2): readable when a front-end waits.
    package let descriptor: OwnedDescriptor
    /// The file we made, removed at the end; nil for a socket whose name others see to.
    private let file: SocketFile?

    /// Listens at `place`.
    package init(at place: SocketPlace) throws(StartupError) {
        let socket = try place.makeSocket()
        file = try place.publish(socket)
        descriptor = socket
    }

    /// Listens at `path`; see `SocketPlace`.
    package convenience init(path: String, group: String? = nil) throws(StartupError) {
        try self.init(at: try SocketPlace(path: path, group: group))
    }

    /// Listens on `socket`, which is or will be bound by somebody else.
    package init(adopting socket: consuming OwnedDescriptor) {
        descriptor = socket
        file = nil
    }

    /// Takes over the listening socket that a launcher left open as number `inherited`.
    package init(inherited: Int32) throws(StartupError) {
        guard Self.option(SO_DOMAIN, of: inherited) == AF_UNIX,
            Self.option(SO_TYPE, of: inherited) == Int32(SOCK_STREAM.rawValue),
            Self.option(SO_ACCEPTCONN, of: inherited) == 1
        else {
            throw StartupError(
                operation: "listen on", subject: "inherited descriptor \(inherited)",
                reason: "not a listening Unix stream socket",
                hint: "bind it and listen on it before starting this program")
        }
        _ = vfs_fcntl_int(inherited, F_SETFD, FD_CLOEXEC)
        _ = vfs_fcntl_int(inherited, F_SETFL, vfs_fcntl_int(inherited, F_GETFL, 0) | O_NONBLOCK)
        descriptor = OwnedDescriptor(adopting: inherited)
        file = nil
    }

    deinit { file?.remove() }

    /// A socket to the next front-end that waits; nil when there is none.
    ///
    /// - Throws: `EMFILE`, `ENFILE`, `ENOMEM` and the like: it still waits then.
    package func accept() throws(Errno) -> OwnedDescriptor? {
        let number = descriptor.rawValue
        do throws(Errno) {
            let peer = try systemCall {
                unsafe accept4(number, __SOCKADDR_ARG(), nil, Int32(SOCK_CLOEXEC.rawValue))
            }
            return OwnedDescriptor(adopting: peer)
        } catch .EAGAIN {
            return nil
        }
    }

    private static func option(_ name: Int32, of socket: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(socket, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }
}
