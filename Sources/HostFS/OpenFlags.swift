// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc

/// The open(2) flags that the host is given for those of an OPEN, CREATE or TMPFILE. The same for all three: filtering only
/// one of them lets O_DIRECT or a write-only handle through another.
struct OpenFlags {
    /// For open(2), close-on-exec, without O_CREAT, O_EXCL or O_TMPFILE.
    private(set) var host: Int32
    /// Whether the guest only appends. An append-only file of the host, chattr(1), is not opened otherwise: EPERM.
    let appends: Bool

    var truncates: Bool { host & O_TRUNC != 0 }

    /// Keeps what means something on an open file and drops the rest: how the name is walked is not the guest's to say.
    /// `writeback`: the guest reads pages of files that it only writes, and knows where a file ends. `forEverybody`: the
    /// descriptor will serve all openers of the file; WRITE says of each write what its opener wants.
    /// EROFS for anything that could write a read-only share.
    init(guest: UInt32, options: borrowing ShareOptions, writeback: Bool, forEverybody: Bool) throws(Errno) {
        let guest = Int32(bitPattern: guest)
        var access = guest & O_ACCMODE
        guard access != O_ACCMODE else { throw .EINVAL }
        if options.readOnly, access != O_RDONLY || guest & O_TRUNC != 0 { throw .EROFS }
        if writeback || forEverybody, access == O_WRONLY { access = O_RDWR }
        appends = guest & O_APPEND != 0 && !writeback
        // Not O_APPEND: it would move a write that has an offset. WRITE appends where the guest's flags say so.
        var kept = forEverybody ? O_TRUNC : O_TRUNC | O_SYNC
        if options.preserveNoatime { kept |= O_NOATIME }
        if options.allowDirectIO { kept |= O_DIRECT }
        host = access | guest & kept | O_CLOEXEC | O_NOCTTY
    }

    /// The same with O_APPEND.
    var appending: OpenFlags {
        var flags = self
        flags.host |= O_APPEND
        return flags
    }
}
