// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS
import Testing

/// Who starts the daemon, and in what.
enum Starter: Sendable {
    case root, ordinary
    /// Root of a user namespace, as containers without privileges have one; parts of /proc are hidden, so none can be mounted anew.
    case container
    /// A user without capabilities in a user namespace.
    case containersUser

    /// What becomes the daemon, with the daemon's own arguments to follow.
    func command() throws -> [String] {
        let user = ["/usr/bin/setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        switch self {
        case .root: return [executable]
        case .ordinary: return user + [try reachableExecutable()]
        case .container:
            let hiding = "mount -t tmpfs none /proc/fs && exec \"$@\""
            return [
                "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hiding, "sh",
                executable,
            ]
        case .containersUser:
            return user + ["/usr/bin/unshare", "--user", "--map-current-user", try reachableExecutable()]
        }
    }
}

/// A copy of the daemon where anybody can start it: where the build is may be a folder of root's. It stays until this process ends.
func reachableExecutable() throws -> String { try ReachableCopy.shared.get().path }

private final class ReachableCopy: Sendable {
    static let shared = Swift.Result { try ReachableCopy() }

    private let folder: TemporaryDirectory
    var path: String { folder.path + "/virtiofsd" }

    private init() throws {
        folder = try TemporaryDirectory(prefix: "virtiofsd-copy.")
        chmod(folder.path, 0o755)
        try #require(try ChildProcess.run("/bin/cp", [executable, folder.path]).end == .exited(0))
        let copy = path
        removeAtExit.append(copy)
        atexit {
            for path in removeAtExit {
                _ = unlink(path); _ = rmdir(String(path.dropLast("/virtiofsd".count)))
            }
        }
    }
}

nonisolated(unsafe) private var removeAtExit: [String] = []

/// Where a symbolic link of /proc leads.
func linkTarget(_ path: String) throws -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try systemCall { readlink(path, &buffer, buffer.count) }
    return String(decoding: buffer[..<count], as: UTF8.self)
}

/// Whether users can be given subordinate ids here; says so once if not.
let hasSubordinateIDs: Bool = {
    let isThere = Files.program("newuidmap") != nil && access("/etc/subuid", F_OK) == 0
    if !isThere {
        let line = "skipped: maps of several ids: needs newuidmap and /etc/subuid (package uidmap)\n"
        _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
    }
    return isThere
}()
