// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A listening Unix socket on which front-ends connect.
package final class Listener: Sendable {
    /// For poll(2): readable when a front-end waits.
    package let descriptor: OwnedDescriptor
    /// The file we made, removed at the end; nil for an inherited socket.
    private let file: SocketFile?

    /// Listens at `path`, mode 0600, or 0660 and owned by the group named `group`.
    ///
    /// The file appears under its name only when it can be connected to. A file left by a daemon that is gone is
    /// replaced; one on which somebody answers is not.
    package init(path: String, group: String? = nil) throws(StartupError) {
        guard path.utf8.count <= maximumSocketPathByteCount else {
            throw StartupError(
                operation: "listen on", subject: path, reason: "the path has \(path.utf8.count) bytes",
                hint: "a socket's path can have \(maximumSocketPathByteCount); use a shorter one")
        }
        let owner: gid_t? = if let group { try Self.identifier(ofGroup: group) } else { nil }
        let stale = try SocketFile.stale(at: path)
        do throws(Errno) {
            let socket = try makeUnixSocket(nonblocking: true)
            file = try SocketFile.publish(socket.rawValue, at: path, group: owner, replacing: stale)
            descriptor = socket
        } catch {
            throw SocketFile.failure(path, error)
        }
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

    /// The next front-end that waits; nil when there is none.
    ///
    /// - Throws: `EMFILE`, `ENFILE`, `ENOMEM` and the like: it still waits then.
    package func accept() throws(Errno) -> Connection? {
        let number = descriptor.rawValue
        do throws(Errno) {
            let peer = try systemCall {
                unsafe accept4(number, __SOCKADDR_ARG(), nil, Int32(SOCK_CLOEXEC.rawValue))
            }
            return try Connection(adopting: OwnedDescriptor(adopting: peer))
        } catch .EAGAIN {
            return nil
        }
    }

    private static func option(_ name: Int32, of socket: Int32) -> Int32? {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return unsafe getsockopt(socket, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }

    private static func identifier(ofGroup name: String) throws(StartupError) -> gid_t {
        // SAFETY: the record is read before the next lookup, which start-up, being one thread, does not make.
        guard let record = unsafe getgrnam(name) else {
            throw StartupError(
                operation: "give the socket to group", subject: name, reason: "no such group",
                hint: "see getent group")
        }
        return unsafe record.pointee.gr_gid
    }
}
