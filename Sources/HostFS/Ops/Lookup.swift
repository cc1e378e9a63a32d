// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
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
    /// guest knows by a walk from the root, or what leads there.
    package func lookupSpecial(_ caller: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut {
        enterDaemon()
        let number = try descriptor(of: nodeID)
        guard parent, nodeID != .root else { return try entry(parent: nodeID, opened: number) }
        guard try type(of: nodeID) == FileType.directory else { throw .ESTALE }
        let status = try unsafe FileStatus(number, "..")
        if let known = share.inodes.reference(Identity(status)) {
            return makeEntry(known, status, parent: known)
        }
        // The guest may forget a directory above one that is in use, and be asked for the way there again.
        let above = try openParent(number)
        guard try leadsToRoot(above.rawValue) else { throw .ESTALE }
        return try entry(parent: nodeID, opened: above.rawValue)
    }

    private static let maximumDepth = 256

    /// Whether the shared directory is above `directory`, by "..", as the host's kernel goes.
    private func leadsToRoot(_ directory: Int32) throws(Errno) -> Bool {
        let root = share.inodes.record(InodeTable.rootSlot).identity
        var current = try openParent(directory)
        for _ in 0..<Self.maximumDepth {
            let here = Identity(try FileStatus(of: current.rawValue))
            if here == root { return true }
            let next = try openParent(current.rawValue)
            // The root of everything is its own parent.
            if Identity(try FileStatus(of: next.rawValue)) == here { return false }
            current = next
        }
        return false
    }

    private func openParent(_ directory: Int32) throws(Errno) -> OwnedDescriptor {
        try unsafe openAgain(directory, "..", flags: O_PATH | O_DIRECTORY)
    }

    package func forget(_ nodeID: NodeID, count: UInt64) {
        guard let slot = share.inodes.forget(nodeID, count: count) else { return }
        share.lockOwners.drop(nodeID)
        closeOpen(nodeID)
        share.retire(.inode(slot))
    }
}
