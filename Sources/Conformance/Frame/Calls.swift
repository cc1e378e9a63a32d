// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

// The system calls that checks make, each with the words a failure shows it in.

extension Call {
    package static func chmod(_ path: Path, _ mode: UInt32) -> Call {
        Call("chmod(\(path), \(octal(mode)))") { unsafe path.withPointer { unsafe Glibc.chmod($0, mode) } }
    }

    package static func fchmod(_ descriptor: Int32, _ mode: UInt32) -> Call {
        Call("fchmod(descriptor, \(octal(mode)))") { Glibc.fchmod(descriptor, mode) }
    }

    /// −1 leaves an id as it is.
    package static func chown(_ path: Path, _ uid: Int, _ gid: Int) -> Call {
        Call("chown(\(path), \(uid), \(gid))") {
            unsafe path.withPointer { unsafe Glibc.chown($0, id(uid), id(gid)) }
        }
    }

    package static func lchown(_ path: Path, _ uid: Int, _ gid: Int) -> Call {
        Call("lchown(\(path), \(uid), \(gid))") {
            unsafe path.withPointer { unsafe Glibc.lchown($0, id(uid), id(gid)) }
        }
    }

    package static func fchown(_ descriptor: Int32, _ uid: Int, _ gid: Int) -> Call {
        Call("fchown(descriptor, \(uid), \(gid))") { Glibc.fchown(descriptor, id(uid), id(gid)) }
    }

    private static func id(_ number: Int) -> UInt32 { UInt32(truncatingIfNeeded: number) }

    package static func link(_ from: Path, _ to: Path) -> Call {
        Call("link(\(from), \(to))") {
            unsafe from.withPointer { from in unsafe to.withPointer { unsafe Glibc.link(from, $0) } }
        }
    }

    package static func linkat(_ from: Path, _ to: Path, flags: Int32) -> Call {
        Call("linkat(\(from), \(to), \(flags == AT_SYMLINK_FOLLOW ? "AT_SYMLINK_FOLLOW" : "\(flags)"))") {
            unsafe from.withPointer { from in
                unsafe to.withPointer { unsafe Glibc.linkat(AT_FDCWD, from, AT_FDCWD, $0, flags) }
            }
        }
    }

    package static func mkdir(_ path: Path, _ mode: UInt32 = 0o755) -> Call {
        Call("mkdir(\(path), \(octal(mode)))") { unsafe path.withPointer { unsafe Glibc.mkdir($0, mode) } }
    }

    package static func mkfifo(_ path: Path, _ mode: UInt32 = 0o644) -> Call {
        Call("mkfifo(\(path), \(octal(mode)))") { unsafe path.withPointer { unsafe Glibc.mkfifo($0, mode) } }
    }

    /// `mode` with its S_IFMT bits.
    package static func mknod(_ path: Path, _ mode: UInt32, device: UInt64 = 0) -> Call {
        Call("mknod(\(path), \(octal(mode)), \(device))") {
            unsafe path.withPointer { unsafe Glibc.mknod($0, mode, dev_t(device)) }
        }
    }

    package static func open(_ path: Path, _ flags: Int32, _ mode: mode_t = 0o644) -> Call {
        let modeText = flags & (O_CREAT | VFS_O_TMPFILE) != 0 ? ", \(octal(mode))" : ""
        return Call("open(\(path), \(openFlags(flags))\(modeText))") {
            unsafe path.withPointer { unsafe Glibc.open($0, flags | O_CLOEXEC, mode) }
        }
    }

    package static func rename(_ from: Path, _ to: Path) -> Call {
        Call("rename(\(from), \(to))") {
            unsafe from.withPointer { from in unsafe to.withPointer { unsafe Glibc.rename(from, $0) } }
        }
    }

    /// `flags` are RENAME_*.
    package static func renameat2(_ from: Path, _ to: Path, flags: UInt32) -> Call {
        let names: [(UInt32, String)] = [
            (1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT"),
        ]
        let text = names.filter { flags & $0.0 != 0 }.map(\.1).joined(separator: "|")
        return Call("renameat2(\(from), \(to), \(text))") {
            unsafe from.withPointer { from in
                unsafe to.withPointer { unsafe vfs_renameat2(AT_FDCWD, from, AT_FDCWD, $0, flags) }
            }
        }
    }

    package static func rmdir(_ path: Path) -> Call {
        Call("rmdir(\(path))") { unsafe path.withPointer { unsafe Glibc.rmdir($0) } }
    }

    package static func unlink(_ path: Path) -> Call {
        Call("unlink(\(path))") { unsafe path.withPointer { unsafe Glibc.unlink($0) } }
    }

    package static func symlink(_ target: Path, _ path: Path) -> Call {
        Call("symlink(\(target), \(path))") {
            unsafe target.withPointer { target in unsafe path.withPointer { unsafe Glibc.symlink(target, $0) }
            }
        }
    }

    package static func truncate(_ path: Path, _ length: Int) -> Call {
        Call("truncate(\(path), \(length))") { unsafe path.withPointer { unsafe Glibc.truncate($0, length) } }
    }

    package static func ftruncate(_ descriptor: Int32, _ length: Int) -> Call {
        Call("ftruncate(descriptor, \(length))") { Glibc.ftruncate(descriptor, length) }
    }

    package static func fallocate(_ descriptor: Int32, mode: Int32 = 0, _ offset: Int, _ length: Int) -> Call
    {
        Call("fallocate(descriptor, \(mode), \(offset), \(length))") {
            Glibc.fallocate(descriptor, mode, offset, length)
        }
    }

    /// The error is what posix_fallocate(3) returns.
    package static func posix_fallocate(_ descriptor: Int32, _ offset: Int, _ length: Int) -> Call {
        Call("posix_fallocate(descriptor, \(offset), \(length))") {
            let error = Glibc.posix_fallocate(descriptor, offset, length)
            if error == 0 { return 0 }
            errno = error
            return -1
        }
    }

    /// nil: both become the present time. A link is followed unless `flags` has AT_SYMLINK_NOFOLLOW.
    package static func utimensat(
        _ path: Path, _ times: (access: Time, modification: Time)?, flags: Int32 = 0
    ) -> Call {
        let text = times.map { "\($0.access), \($0.modification)" } ?? "NULL"
        let flagText = flags & AT_SYMLINK_NOFOLLOW != 0 ? ", AT_SYMLINK_NOFOLLOW" : ""
        return Call("utimensat(\(path), \(text)\(flagText))") {
            unsafe path.withPointer { path in
                guard let times else { return unsafe Glibc.utimensat(AT_FDCWD, path, nil, flags) }
                let pair = [times.access.timespec, times.modification.timespec]
                return unsafe Glibc.utimensat(AT_FDCWD, path, pair, flags)
            }
        }
    }

    package static func access(_ path: Path, _ mode: Int32) -> Call {
        Call("faccessat(\(path), \(mode), AT_EACCESS)") {
            unsafe path.withPointer { unsafe Glibc.faccessat(AT_FDCWD, $0, mode, AT_EACCESS) }
        }
    }

    package static func stat(_ path: Path) -> Call { Call("stat(\(path))") { looked(at: path, flags: 0) } }

    package static func lstat(_ path: Path) -> Call {
        Call("lstat(\(path))") { looked(at: path, flags: AT_SYMLINK_NOFOLLOW) }
    }

    package static func chdir(_ path: Path) -> Call {
        Call("chdir(\(path))") { unsafe path.withPointer { unsafe Glibc.chdir($0) } }
    }
}

private func looked(at path: Path, flags: Int32) -> Int32 {
    var status = stat()
    return unsafe path.withPointer { unsafe fstatat(AT_FDCWD, $0, &status, flags) }
}

/// The flags of open(2) by their names.
func openFlags(_ flags: Int32) -> String {
    let modes = [O_RDONLY: "O_RDONLY", O_WRONLY: "O_WRONLY", O_RDWR: "O_RDWR"]
    var names = [modes[flags & O_ACCMODE] ?? "O_ACCMODE"]
    var rest = flags & ~O_ACCMODE
    let known: [(Int32, String)] = [
        (VFS_O_TMPFILE, "O_TMPFILE"), (O_CREAT, "O_CREAT"), (O_EXCL, "O_EXCL"), (O_TRUNC, "O_TRUNC"),
        (O_APPEND, "O_APPEND"), (O_NONBLOCK, "O_NONBLOCK"), (O_DIRECTORY, "O_DIRECTORY"),
        (O_NOFOLLOW, "O_NOFOLLOW"), (O_PATH, "O_PATH"), (O_DIRECT, "O_DIRECT"), (O_SYNC, "O_SYNC"),
        (O_DSYNC, "O_DSYNC"), (O_NOATIME, "O_NOATIME"), (O_CLOEXEC, "O_CLOEXEC"),
    ]
    for (bits, name) in known where rest & bits == bits {
        names.append(name)
        rest &= ~bits
    }
    if rest != 0 { names.append("0x" + String(rest, radix: 16)) }
    return names.joined(separator: "|")
}
