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
        var status = try settled { () throws(Errno) in try unsafe FileStatus(parentDescriptor, cString) }
        let node = try unsafe reference(&status, .name(directory: parentDescriptor, cString))
        unsafe share.namesTold.note(NamesTold.Key(parent, cString), node)
        return makeEntry(node, status, parent: parent)
    }

    /// The entry of an object below `parent` that is open as `opened`; counts one lookup.
    func entry(parent: NodeID, opened: Int32) throws(Errno) -> EntryOut {
        var status = try settled { () throws(Errno) in try FileStatus(of: opened) }
        let node = try reference(&status, .opened(opened))
        return makeEntry(node, status, parent: parent)
    }

    /// The entry of what CREATE has opened as `file`, which becomes an open file of the guest and may be lent until then;
    /// counts one lookup.
    func entry(parent: NodeID, name: Name, created file: Int32) throws(Errno) -> EntryOut {
        var status = try settled { () throws(Errno) in try FileStatus(of: file) }
        let node =
            if let known = share.inodes.reference(Identity(status)) {
                known
            } else if let new = try insert(status, InodeRecord.lent(file)) {
                new.node
            } else {
                try reference(&status, .opened(file))
            }
        unsafe share.namesTold.note(NamesTold.Key(parent, name.cString), node)
        return makeEntry(node, status, parent: parent)
    }

    /// The entry of an object that was made a moment ago and is open as `object` (O_PATH); counts one lookup.
    ///
    /// Its record keeps the descriptor while it is hot, and gets a file handle when that goes: what was made is about to be
    /// used, and a handle would have to be opened for that and checked.
    func entry(parent: NodeID, name: Name, made object: consuming OwnedDescriptor) throws(Errno) -> EntryOut {
        var status = try FileStatus(of: object.rawValue)
        let node: NodeID
        if let known = share.inodes.reference(Identity(status)) {
            node = known
        } else if let new = try insert(status, object.rawValue) {
            node = new.node
            if new.isNew {
                _ = object.release()
                try keepHot(node)
            }
        } else if share.usesFileHandles {
            node = try reference(&status, .opened(object.rawValue))
        } else {
            node = try referenceByDescriptor(status, object)
        }
        unsafe share.namesTold.note(NamesTold.Key(parent, name.cString), node)
        return makeEntry(node, status, parent: parent)
    }

    /// The same for an object without a name (O_TMPFILE). Its record keeps a descriptor, because a file handle finds only
    /// what has a name.
    func entry(parent: NodeID, unnamed: Int32) throws(Errno) -> EntryOut {
        let object = try openPath(.opened(unnamed))
        let status = try FileStatus(of: object.rawValue)
        return makeEntry(try referenceByDescriptor(status, object), status, parent: parent)
    }

    func makeEntry(_ node: NodeID, _ status: FileStatus, parent: NodeID) -> EntryOut {
        noteMode(of: node, status)
        var entry = EntryOut()
        entry.nodeID = node.rawValue
        let validity = validity(of: status)
        entry.entryValid = validity.names.seconds
        entry.entryValidNsec = validity.names.nanoseconds
        entry.attrValid = validity.attributes.seconds
        entry.attrValidNsec = validity.attributes.nanoseconds
        if let slot = slot(status) {
            (entry.entryValid, entry.entryValidNsec) = (slot, 0)
            (entry.attrValid, entry.attrValidNsec) = (slot, 0)
        }
        entry.attributes = attributes(status)
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
        let object = try openPath(source)
        status = try FileStatus(of: object.rawValue)
        return try referenceByDescriptor(status, object)
    }

    /// A new record that lives by `descriptor` until it gets a file handle; nil where it would get none.
    private func insert(_ status: FileStatus, _ descriptor: Int32) throws(Errno) -> (
        node: NodeID, isNew: Bool
    )? {
        guard share.usesFileHandles, status.hasBirthTime, share.mounts.retain(status.mount) else {
            return nil
        }
        let flags = VFS_INODE_ON_MOUNT | VFS_INODE_VERIFIED | VFS_INODE_RECENT
        let inserted = share.inodes.insert(
            Identity(status), descriptor: descriptor, handle: nil, flags: flags)
        if inserted?.isNew != true { share.mounts.release(status.mount) }
        guard let inserted else { throw tooManyInodes() }
        return inserted
    }

    /// Gives a record that lives by `descriptor`, which nobody else can take from it now, its file handle. False where it has
    /// none that we can keep and use.
    func giveHandle(_ record: InodeRecord, _ descriptor: Int32) -> Bool {
        guard let mount = try? fileHandle.load(of: descriptor), mount == record.mount,
            fileHandle.byteCount > 0, fileHandle.byteCount <= InodeRecord.handleCapacity
        else { return false }
        unsafe record.storeHandle(fileHandle.address, byteCount: fileHandle.byteCount)
        return true
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
            throw tooManyInodes()
        }
        if !inserted.isNew { share.mounts.release(mount) }
        return inserted.node
    }

    private func tooManyInodes() -> Errno {
        share.inodes.limit.note()
        return .ENFILE
    }

    /// Before something is made: what the guest may not know, or not open, is not left behind.
    func requireRoom(opening: Bool) throws(Errno) {
        if options.limits.inodes != nil, share.inodes.isFull { throw tooManyInodes() }
        guard opening, options.limits.openFiles != nil, !opensFilesByNode, share.handles.isFull else {
            return
        }
        share.handles.limit.note()
        throw .ENFILE
    }

    private func loadHandle(_ source: Source) throws(Errno) -> UInt32 {
        switch source {
        case .name(let directory, let name): try unsafe fileHandle.load(directory, name)
        case .opened(let number): try fileHandle.load(of: number)
        }
    }

    /// A new record that is referred to by its O_PATH descriptor `object`.
    private func referenceByDescriptor(
        _ status: FileStatus, _ object: consuming OwnedDescriptor
    ) throws(Errno) -> NodeID {
        try share.quota.take()
        let inserted = share.inodes.insert(
            Identity(status), descriptor: object.rawValue, handle: nil, flags: VFS_INODE_KEEPS_DESCRIPTOR)
        if inserted?.isNew == true { _ = object.release() } else { share.quota.giveBack() }
        guard let inserted else { throw tooManyInodes() }
        return inserted.node
    }

    private func openPath(_ source: Source) throws(Errno) -> OwnedDescriptor {
        switch source {
        case .name(let directory, let name): try unsafe openBeneath(directory, name, flags: O_PATH)
        case .opened(let number):
            try unsafe openAgain(share.processDescriptors, processName(of: number), flags: O_PATH)
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
            share.processDescriptors, processName(of: root.rawValue), flags: O_RDONLY)
        return share.mounts.add(mount, readable)
    }
}
