// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// The file by which a listening socket is found, and the care that its name never misleads anybody.
package struct SocketFile: Sendable {
    struct Identity: Equatable, Sendable {
        let device: dev_t
        let inode: ino_t
    }

    private let path: String
    private let identity: Identity

    /// Binds `socket` to a hidden name beside `path`, gives it its owner and mode, listens, and only then renames it.
    ///
    /// - Parameter stale: the file that may be replaced; nil when there was none.
    /// - Throws: `EADDRINUSE` when somebody else has taken the name meanwhile.
    static func publish(
        _ socket: Int32, at path: String, group: gid_t?, replacing stale: Identity?
    ) throws(Errno) -> SocketFile {
        let hidden = try bindHidden(socket, beside: path)
        do throws(Errno) {
            if let group { _ = try systemCall { unsafe chown(hidden, uid_t.max, group) } }
            _ = try systemCall { unsafe chmod(hidden, group == nil ? 0o600 : 0o660) }
            _ = try systemCall { listen(socket, 16) }
            let file = SocketFile(path: path, identity: try Self.identity(hidden))
            try expose(hidden, as: path, replacing: stale)
            return file
        } catch {
            _ = unsafe unlink(hidden)
            throw error
        }
    }

    /// Removes the file, unless the name means another one by now.
    package func remove() {
        if let current = try? Self.identity(path), current == identity { _ = unsafe unlink(path) }
    }

    /// The socket at `path` that nobody listens on any more; nil when nothing is there.
    ///
    /// - Throws: when somebody answers, or something else than a socket is there.
    static func stale(at path: String) throws(StartupError) -> Identity? {
        do throws(Errno) {
            var status = stat()
            _ = try systemCall { unsafe lstat(path, &status) }
            guard status.st_mode & S_IFMT == S_IFSOCK else { throw .EEXIST }
            let probe = try makeUnixSocket(nonblocking: true)
            try connectUnixSocket(probe.rawValue, to: path)
            throw .EADDRINUSE
        } catch .ENOENT {
            return nil
        } catch .ECONNREFUSED {
            return try? identity(path)
        } catch .EAGAIN {
            throw failure(path, .EADDRINUSE)  // a listener with a full queue
        } catch {
            throw failure(path, error)
        }
    }

    static func failure(_ path: String, _ error: Errno) -> StartupError {
        let (reason, hint) =
            switch error {
            case .EADDRINUSE: ("another process listens there", "stop it or use another path")
            case .EEXIST:
                ("the path is taken by something that is not a socket", "remove it or use another path")
            case .ENOENT, .ENOTDIR: (describe(error), "make its directory first")
            default: (describe(error), "")
            }
        return StartupError(operation: "listen on", subject: path, reason: reason, hint: hint)
    }

    /// A random name no longer than the wanted one, so that it fits wherever that fits.
    private static func bindHidden(_ socket: Int32, beside path: String) throws(Errno) -> String {
        let nameStart = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let count = min(path[nameStart...].utf8.count, 12)
        guard count > 0 else { throw .EISDIR }
        for _ in 0..<100 {
            let letters = (0..<count).map { _ in "abcdefghijklmnopqrstuvwxyz".randomElement() ?? "a" }
            let name = count > 1 ? "." + String(letters.dropFirst()) : String(letters)
            let hidden = String(path[..<nameStart]) + name
            if hidden == path { continue }
            do throws(Errno) {
                try bindUnixSocket(socket, to: hidden)
                return hidden
            } catch .EADDRINUSE { continue }
        }
        throw .EADDRINUSE
    }

    /// Two daemons may have found the same stale file: only exchanging the names tells the second one in time.
    private static func expose(_ hidden: String, as path: String, replacing stale: Identity?) throws(Errno) {
        func exchangeNames(_ flags: UInt32) throws(Errno) {
            _ = try systemCall { unsafe vfs_renameat2(AT_FDCWD, hidden, AT_FDCWD, path, flags) }
        }
        do throws(Errno) {
            guard let stale else { return try exchangeNames(UInt32(RENAME_NOREPLACE)) }
            try exchangeNames(UInt32(RENAME_EXCHANGE))
            guard try identity(hidden) == stale else {
                try exchangeNames(UInt32(RENAME_EXCHANGE))
                throw .EADDRINUSE
            }
            _ = unsafe unlink(hidden)
        } catch .EEXIST {
            throw .EADDRINUSE
        } catch .EINVAL {
            _ = try systemCall { unsafe rename(hidden, path) }  // a file system without these flags
        }
    }

    private static func identity(_ path: String) throws(Errno) -> Identity {
        var status = stat()
        _ = try systemCall { unsafe lstat(path, &status) }
        return Identity(device: status.st_dev, inode: status.st_ino)
    }
}
