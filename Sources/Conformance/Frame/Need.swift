// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// What a check cannot do without. Tried beside the check's own directory before its body.
package enum Need: Sendable {
    /// The process may act as every user.
    case root
    /// Attributes "user.*" of files.
    case attributes
    /// POSIX access control lists.
    case lists
    /// SEEK_HOLE sees holes.
    case holes
    /// FS_IOC_SETFLAGS: immutable and append-only files.
    case flags

    /// What is missing; nil when nothing is.
    func missing() -> String? {
        switch self {
        case .root:
            return geteuid() == 0 ? nil : "not run as root"
        case .attributes:
            return trial("user attributes") { file throws(Errno) in
                _ = try systemCall { unsafe fsetxattr(file, "user.conformance", "v", 1, 0) }
            }
        case .lists:
            return trial("access control lists") { file throws(Errno) in
                let bytes = AccessList(owner: 6, group: 4, other: 4).bytes
                _ = try systemCall { unsafe fsetxattr(file, AccessList.access, bytes, bytes.count, 0) }
            }
        case .holes:
            return trial("holes") { file throws(Errno) in
                _ = try systemCall { ftruncate(file, 1 << 20) }
                if try systemCall({ lseek(file, 0, SEEK_HOLE) }) != 0 { throw .EOPNOTSUPP }
            }
        case .flags:
            return trial("immutable files") { file throws(Errno) in
                try setRestrictions(of: file, to: UInt32(FS_APPEND_FL))
                try setRestrictions(of: file, to: 0)
            }
        }
    }

    /// Does `step` to a new file and says what is missing if it fails.
    private func trial(_ what: String, _ step: (Int32) throws(Errno) -> Void) -> String? {
        let path: Path = "../trial"
        do throws(Errno) {
            let file = OwnedDescriptor(adopting: try Call.open(path, O_RDWR | O_CREAT, 0o600)())
            defer { _ = try? Call.unlink(path)() }
            try step(file.rawValue)
            return nil
        } catch { return "no \(what) here (\(name(of: error)))" }
    }
}

/// Makes an object immutable or append-only (FS_IMMUTABLE_FL, FS_APPEND_FL) or neither; its other flags stay.
func setRestrictions(of descriptor: Int32, to flags: UInt32) throws(Errno) {
    let restrictions = UInt32(FS_IMMUTABLE_FL) | UInt32(FS_APPEND_FL)
    try setInodeFlags(of: descriptor, to: try inodeFlags(of: descriptor) & ~restrictions | flags)
}
