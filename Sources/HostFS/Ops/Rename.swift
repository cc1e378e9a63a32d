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
        let (oldKey, newKey) = unsafe (
            NamesTold.Key(parent, name.cString), NamesTold.Key(newParent, newName.cString)
        )
        if flags & UInt32(RENAME_NOREPLACE | RENAME_EXCHANGE) == 0 {
            try replace((from, name), (to, newName), newParent, flags: flags)
        } else {
            try unsafe renameName(from, name.cString, to: to, newName.cString, flags: flags)
        }
        let exchanged = flags & UInt32(RENAME_EXCHANGE) == 0 ? nil : share.namesTold.find(newKey)
        share.namesTold.note(newKey, share.namesTold.find(oldKey))
        share.namesTold.note(oldKey, exchanged)
    }

    /// A reader of the guest may have found what goes, and open it only now: so it is kept, if the guest knows it. Where the
    /// guest was told of nothing there, as a rule nothing is, and a rename that replaces nothing says so if it is wrong.
    private func replace(
        _ old: (directory: Int32, name: Name), _ new: (directory: Int32, name: Name), _ newParent: NodeID,
        flags: UInt32
    ) throws(Errno) {
        func rename(_ flags: UInt32) throws(Errno) {
            try unsafe renameName(
                old.directory, old.name.cString, to: new.directory, new.name.cString, flags: flags)
        }
        if unsafe !keepTold(NamesTold.Key(newParent, new.name.cString)) {
            do throws(Errno) { return try rename(flags | UInt32(RENAME_NOREPLACE)) } catch {
                // EINVAL: the file system does not know the flag.
                guard error == .EEXIST || error == .EINVAL else { throw error }
            }
            keepKnown(new.directory, new.name)
        }
        try rename(flags)
    }
}
