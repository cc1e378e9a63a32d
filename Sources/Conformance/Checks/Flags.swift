// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Immutable and append-only files and directories: FS_IOC_SETFLAGS(2const), chattr(1).
let flagChecks: [Check] =
    [
        flagged("chmod", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .chmod($0, 0o600) },
        flagged("chown", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .chown($0, 4002, 4002) },
        flagged("link", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .link($0, "new") },
        flagged("open", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .open($0, O_WRONLY) },
        flagged("open", "-and-truncate", immutableFile: .EPERM, appendOnlyFile: .EPERM) {
            .open($0, O_RDWR | O_TRUNC)
        },
        flagged("open", "-to-append", immutableFile: .EPERM, appendOnlyFile: nil) {
            .open($0, O_WRONLY | O_APPEND)
        },
        flagged("rename", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .rename($0, "new") },
        flagged("truncate", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .truncate($0, 1) },
        flagged("unlink", immutableFile: .EPERM, appendOnlyFile: .EPERM) { .unlink($0) },
        flagged("utimensat", immutableFile: .EPERM, appendOnlyFile: .EPERM) {
            .utimensat($0, (Time(1), Time(2)))
        },
        flagged("utimensat", "-to-now", immutableFile: .EPERM, appendOnlyFile: nil) { .utimensat($0, nil) },
    ]
    + [
        parent("link", appendOnly: nil) { .link("source", $0) },
        parent("mkdir", appendOnly: nil) { .mkdir($0) },
        parent("mkfifo", appendOnly: nil) { .mkfifo($0) },
        parent("mknod", appendOnly: nil) { .mknod($0, Kind.socket.bits | 0o644) },
        parent("open", appendOnly: nil) { .open($0, O_WRONLY | O_CREAT) },
        parent("rename", appendOnly: nil) { .rename("source", $0) },
        parent("symlink", appendOnly: nil) { .symlink("target", $0) },
        parent("unlink", holds: .regular, appendOnly: .EPERM) { .unlink($0) },
        parent("rmdir", holds: .directory, appendOnly: .EPERM) { .rmdir($0) },
    ]

/// The call on a file with the flag itself; without it, it succeeds.
private func flagged(
    _ area: String, _ suffix: String = "", immutableFile: Errno?, appendOnlyFile: Errno?,
    _ call: @escaping @Sendable (Path) -> Call
) -> Check {
    Check(
        "\(area)/immutable-file\(suffix)",
        "EPERM: the file is immutable, or append-only and would change otherwise",
        needs: [.root, .flags]
    ) {
        for (flag, error) in [(FS_IMMUTABLE_FL, immutableFile), (FS_APPEND_FL, appendOnlyFile)] {
            try make(file: "x", holding: [1, 2, 3])
            try setFlags("x", UInt32(flag))
            try when(flag == FS_APPEND_FL ? "an append-only file" : "an immutable file") {
                try expect(call("x"), error)
            }
            try setFlags("x", 0)
            if error != nil { try expect(call("x")) }
            discard("x", "new")
        }
    }
}

/// The call on a name in a directory with the flag.
private func parent(
    _ area: String, holds kind: Kind? = nil, appendOnly: Errno?, _ call: @escaping @Sendable (Path) -> Call
) -> Check {
    Check(
        "\(area)/immutable-directory",
        "EPERM: the directory is immutable, or append-only and would lose a name",
        needs: [.root, .flags]
    ) {
        for (flag, error) in [(FS_IMMUTABLE_FL, Errno.EPERM), (FS_APPEND_FL, appendOnly)] {
            try make(.directory, "d")
            try make(.regular, "source")
            if let kind { try make(kind, "d/x") }
            try setFlags("d", UInt32(flag))
            // Linux asks for write permission first, which nobody has in an immutable directory.
            let immutable = flag == FS_IMMUTABLE_FL
            try when(immutable ? "in an immutable directory" : "in an append-only directory") {
                try expect(call("d/x"), oneOf: error.map { immutable ? [$0, .EACCES] : [$0] } ?? [])
            }
            try setFlags("d", 0)
            if error != nil { try expect(call("d/x")) }
            discard("d/x", "source", "d")
        }
    }
}

/// Gives a path one of the two flags, or (0) takes both away; the file system's own flags stay.
private func setFlags(_ path: Path, _ flags: UInt32) throws {
    try opened(path, O_RDONLY) { descriptor in
        do throws(Errno) { try setRestrictions(of: descriptor, to: flags) } catch {
            throw Failure("FS_IOC_SETFLAGS of \(path) gave \(name(of: error)), expected success")
        }
    }
}
