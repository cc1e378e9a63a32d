// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

// From an object of the host to what the guest knows it by.
extension HostFS {
    /// Where an object was found.
    @safe enum Source {
        /// By a name in an open directory; the name may mean another object a moment later.
        case name(directory: Int32, UnsafePointer<CChar>)
        /// Open, for whatever purpose.
        case opened(Int32)
    }

    /// The entry of `name` in `parent`, open as `parentDescriptor`; counts one lookup. One system call for what the
    /// guest knows already. ENOENT if there is no such name.
    func entry(parent: NodeID, parentDescriptor: Int32, name: Name) throws(Errno) -> EntryOut {
        unsafe try entry(parent: parent, parentDescriptor: parentDescriptor, cString: name.cString)
    }

    func entry(
        parent: NodeID, parentDescriptor: Int32, cString: UnsafePointer<CChar>
    ) throws(Errno) -> EntryOut {
        var status = try unsafe FileStatus(parentDescriptor, cString)
        let node = try unsafe reference(&status, .name(directory: parentDescriptor, cString))
        return makeEntry(node, status, parent: parent)
    }

    /// The entry of an object below `parent` that is open as `opened`; counts one lookup.
    func entry(parent: NodeID, opened: Int32) throws(Errno) -> EntryOut {
        var status = try FileStatus(of: opened)
        let node = try reference(&status, .opened(opened))
        return makeEntry(node, status, parent: parent)
    }

    /// The same for an object without a name (O_TMPFILE). Its record keeps a descriptor, because a file handle finds only
    /// what has a name.
    func entry(parent: NodeID, unnamed: Int32) throws(Errno) -> EntryOut {
        var status = try FileStatus(of: unnamed)
        let node = try referenceByDescriptor(&status, .opened(unnamed))
        return makeEntry(node, status, parent: parent)
    }

    func makeEntry(_ node: NodeID, _ status: FileStatus, parent: NodeID) -> EntryOut {
        var entry = EntryOut()
        entry.nodeID = node.rawValue
        entry.entryValid = options.entryValidity.seconds
        entry.entryValidNsec = options.entryValidity.nanoseconds
        entry.attrValid = options.attributeValidity.seconds
        entry.attrValidNsec = options.attributeValidity.nanoseconds
        entry.attributes = Attributes(status)
        if status.type == FileType.directory, isNegotiated(InitFlags.submounts),
            let slot = share.inodes.slots.find(parent.rawValue)
        {
            let above = share.inodes.record(slot)
            if above.mount != status.mount || above.device != status.device {
                entry.attributes.flags |= AttributeFlags.submount
            }
        }
        return entry
    }

    /// Counts one lookup of the object with `status`, found at `source`. When the object must be opened to be known,
    /// `status` becomes that of what was opened.
    private func reference(_ status: inout FileStatus, _ source: Source) throws(Errno) -> NodeID {
        let identity = Identity(status)
        if let known = share.inodes.reference(identity) { return known }
        if share.usesFileHandles, status.hasBirthTime, let node = try referenceByHandle(identity, source) {
            return node
        }
        if options.inodeFileHandles == .mandatory { throw .EOPNOTSUPP }
        return try referenceByDescriptor(&status, source)
    }

    /// A new record with a file handle; nil where the object has none that we can keep and use.
    private func referenceByHandle(_ identity: Identity, _ source: Source) throws(Errno) -> NodeID? {
        guard let mount = try? loadHandle(source), mount == identity.mount,
            fileHandle.byteCount > 0, fileHandle.byteCount <= InodeRecord.handleCapacity
        else { return nil }
        if !share.mounts.retain(mount) {
            guard try enterMount(mount, source) else { return nil }
        }
        var flags = VFS_INODE_ON_MOUNT
        if case .opened = source { flags |= VFS_INODE_VERIFIED }
        guard let inserted = share.inodes.insert(identity, descriptor: -1, handle: fileHandle, flags: flags)
        else {
            share.mounts.release(mount)
            throw .ENFILE
        }
        if !inserted.isNew { share.mounts.release(mount) }
        return inserted.node
    }

    private func loadHandle(_ source: Source) throws(Errno) -> UInt32 {
        switch source {
        case .name(let directory, let name): try unsafe fileHandle.load(directory, name)
        case .opened(let number): try fileHandle.load(of: number)
        }
    }

    /// A new record that is referred to by an O_PATH descriptor.
    private func referenceByDescriptor(_ status: inout FileStatus, _ source: Source) throws(Errno) -> NodeID {
        try share.quota.take()
        do throws(Errno) {
            let opened = try openPath(source)
            status = try FileStatus(of: opened.rawValue)
            guard
                let inserted = share.inodes.insert(
                    Identity(status), descriptor: opened.rawValue, handle: nil,
                    flags: VFS_INODE_KEEPS_DESCRIPTOR)
            else { throw .ENFILE }
            if inserted.isNew { _ = opened.release() } else { share.quota.giveBack() }
            return inserted.node
        } catch {
            share.quota.giveBack()
            throw error
        }
    }

    private func openPath(_ source: Source) throws(Errno) -> OwnedDescriptor {
        switch source {
        case .name(let directory, let name): try unsafe openBeneath(directory, name, flags: O_PATH)
        case .opened(let number):
            try unsafe openAgain(share.processDescriptors.rawValue, processName(of: number), flags: O_PATH)
        }
    }

    /// Opens the root of a mount that the guest comes to for the first time, to open file handles by. False if what
    /// is mounted is neither a directory nor a regular file, which is never opened, or the table is full.
    private func enterMount(_ mount: UInt32, _ source: Source) throws(Errno) -> Bool {
        let root = try openPath(source)
        let status = try FileStatus(of: root.rawValue)
        guard status.type == FileType.directory || status.type == FileType.regular, status.mount == mount
        else {
            return false
        }
        let readable = try unsafe openAgain(
            share.processDescriptors.rawValue, processName(of: root.rawValue), flags: O_RDONLY)
        return share.mounts.add(mount, readable)
    }
}
