// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import HostOS
import StateArena

extension HostFS {
    /// One statx(2) for a name that the guest knows or that is missing, name_to_handle_at(2) more for a new one.
    package func lookup(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) -> EntryOut {
        enterDaemon()
        let directory = try descriptor(of: parent)
        do throws(Errno) {
            return try entry(parent: parent, parentDescriptor: directory, name: name)
        } catch {
            let validity = self.validity.missing
            guard error == .ENOENT, validity != .zero || tellsSlots else { throw error }
            var missing = EntryOut()
            missing.entryValid = validity.seconds
            missing.entryValidNsec = validity.nanoseconds
            return missing
        }
    }

    /// The parent of a directory that the host has moved out of the share is nothing of ours, so ".." only finds what the
    /// guest knows by a walk from the root.
    package func lookupSpecial(_ caller: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut {
        enterDaemon()
        let number = try descriptor(of: nodeID)
        guard parent, nodeID != .root else { return try entry(parent: nodeID, opened: number) }
        guard try type(of: nodeID) == FileType.directory else { throw .ESTALE }
        let status = try unsafe FileStatus(number, "..")
        guard let known = share.inodes.reference(Identity(status)) else { throw .ESTALE }
        return makeEntry(known, status, parent: known)
    }

    package func forget(_ nodeID: NodeID, count: UInt64) {
        guard let slot = share.inodes.forget(nodeID, count: count) else { return }
        share.lockOwners.drop(nodeID)
        closeOpen(nodeID)
        share.retire(.inode(slot))
    }
}
