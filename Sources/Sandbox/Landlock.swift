// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// What Landlock (Linux 5.13) holds this process to: a wall that an ordinary user can raise, and that stands in `--sandbox none` too.
package struct LandlockWall: Sendable, Equatable {
    /// 0: the kernel has none, or it is turned off.
    package let version: Int32
    /// Whether only the share can be opened and changed.
    package let coversFiles: Bool
}

/// Rights of landlock(7), each the bit of its name there.
private enum Right {
    static let writeFile: UInt64 = 1 << 1
    static let readFile: UInt64 = 1 << 2
    static let readDirectory: UInt64 = 1 << 3
    static let removeFile: UInt64 = 1 << 5
    static let makeSocket: UInt64 = 1 << 9
    static let truncate: UInt64 = 1 << 14

    /// All that a version knows: EXECUTE to MAKE_SYM, then REFER, TRUNCATE and IOCTL_DEV.
    static func all(_ version: Int32) -> UInt64 {
        switch version {
        case 2: (1 << 14) - 1
        case 3, 4: (1 << 15) - 1
        default: (1 << 16) - 1
        }
    }
    /// Nobody executes what is shared, or talks to a device through it.
    static let neverGiven: UInt64 = 1 << 0 | 1 << 15
    /// Those that mean something for a file.
    static let ofFiles = writeFile | readFile | truncate
}

/// Holds the calling thread, and those that it will start, to the share: nothing else can be opened or changed from now on, TCP and
/// abstract Unix sockets of others cannot be connected to, other processes not signalled. What is open stays open.
///
/// - Parameters:
///   - share: O_PATH of the shared directory or file; nil leaves files out.
///   - tasks: this process's /proc/self/task, which may be read and written too; −1: none.
///   - sockets: a directory in and below which sockets can still be made and files removed; −1: none.
///   - files: a directory whose files may be read and written too; −1: none.
/// - Throws: when the kernel has Landlock and the wall still cannot be raised. Needs no_new_privs.
package func raiseLandlock(
    share: Int32?, tasks: Int32, sockets: Int32, files extra: Int32 = -1
) throws(StartupError) -> LandlockWall {
    let version = vfs_landlock_version()
    guard version > 0 else { return LandlockWall(version: 0, coversFiles: false) }
    // The first version refuses every move to another directory.
    let coversFiles = share != nil && version >= 2
    let files = coversFiles ? Right.all(version) : 0
    let network: UInt64 = version >= 4 ? 0b11 : 0  // binding and connecting TCP
    let scopes: UInt64 = version >= 6 ? 0b11 : 0  // abstract Unix sockets and signals
    guard files | network | scopes != 0 else { return LandlockWall(version: version, coversFiles: false) }
    do throws(Errno) {
        let ruleset = OwnedDescriptor(
            adopting: try systemCall { vfs_landlock_create(files, network, scopes) })
        if coversFiles, let share {
            let isDirectory = try FileStatus(of: share).type == FileType.directory
            let rights = files & ~Right.neverGiven & (isDirectory ? ~0 : Right.ofFiles)
            try allow(ruleset, share, rights)
            if sockets >= 0 { try allow(ruleset, sockets, Right.makeSocket | Right.removeFile) }
            if tasks >= 0 {
                try allow(ruleset, tasks, Right.readFile | Right.writeFile | Right.readDirectory)
            }
            if extra >= 0 { try allow(ruleset, extra, Right.readFile | Right.writeFile) }
        }
        _ = try systemCall { vfs_landlock_restrict(ruleset.rawValue) }
    } catch {
        throw StartupError(
            operation: "raise", subject: "the wall of Landlock", reason: describe(error),
            hint: "allow the landlock_* system calls, all or none of them")
    }
    return LandlockWall(version: version, coversFiles: coversFiles)
}

private func allow(_ ruleset: borrowing OwnedDescriptor, _ object: Int32, _ rights: UInt64) throws(Errno) {
    let number = ruleset.rawValue
    _ = try systemCall { vfs_landlock_allow(number, object, rights) }
}
