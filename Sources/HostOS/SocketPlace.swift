// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc

/// Where a listening socket is to appear. What can be refused without making it is, before anything else is done.
package struct SocketPlace: Sendable {
    private let path: String
    private let group: gid_t?
    /// The file that may be replaced.
    private let stale: SocketFile.Identity?

    /// A socket at `path`, mode 0600, or 0660 and owned by the group named `group`.
    ///
    /// A file left by a daemon that is gone is replaced; one on which somebody answers is not.
    package init(path: String, group: String? = nil) throws(StartupError) {
        guard path.utf8.count <= maximumSocketPathByteCount else {
            throw StartupError(
                operation: "listen on", subject: path, reason: "the path has \(path.utf8.count) bytes",
                hint: "a socket's path can have \(maximumSocketPathByteCount); use a shorter one")
        }
        self.path = path
        self.group = if let group { try Self.identifier(ofGroup: group) } else { nil }
        stale = try SocketFile.stale(at: path)
    }

    /// A socket for this place, which nobody can find yet.
    package func makeSocket() throws(StartupError) -> OwnedDescriptor {
        do throws(Errno) {
            return try makeUnixSocket(nonblocking: true)
        } catch {
            throw SocketFile.failure(path, error)
        }
    }

    /// Listens on `socket` and lets it appear under its name, where front-ends can connect at once.
    package func publish(_ socket: borrowing OwnedDescriptor) throws(StartupError) -> SocketFile {
        let number = socket.rawValue
        do throws(Errno) {
            return try SocketFile.publish(number, at: path, group: group, replacing: stale)
        } catch {
            throw SocketFile.failure(path, error)
        }
    }

    /// O_PATH of the directory where it will be.
    package func openDirectory() throws(StartupError) -> OwnedDescriptor {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        do throws(Errno) {
            return OwnedDescriptor(
                adopting: try systemCall { unsafe open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) })
        } catch {
            throw SocketFile.failure(path, error)
        }
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
