// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// RENAME and RENAME2.
extension HostFS {
    /// RENAME_WHITEOUT leaves a device node behind, which the host's kernel allows whom it allows mknod(2).
    package func rename(
        _ caller: Caller, parent: NodeID, name: Name, newParent: NodeID, newName: Name, flags: UInt32
    ) throws(Errno) {
        try requireWritable()
        guard flags & ~UInt32(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) == 0 else {
            throw .EINVAL
        }
        let from = try descriptor(of: parent)
        let to = try descriptor(of: newParent)
        enterDaemon()
        if flags & UInt32(RENAME_NOREPLACE | RENAME_EXCHANGE) == 0 { unsafe keepKnown(to, newName.cString) }
        try unsafe renameName(from, name.cString, to: to, newName.cString, flags: flags)
    }
}
