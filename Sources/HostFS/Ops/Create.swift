// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// CREATE, TMPFILE, MKNOD, MKDIR and SYMLINK: objects are made with the caller's ids, so that ownership, set-group-id
// directories, quotas and default ACLs are the host kernel's work.
extension HostFS {
    private static let permissions: UInt32 = 0o7777

    package func create(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: CreateIn
    ) throws(Errno) -> CreateOut {
        try requireWritable()
        let flags = try openFlags(arguments.flags)
        let directory = try descriptor(of: parent)
        let file = try createOrOpen(caller, directory, name, arguments, flags)
        // Of what was opened, never of the name: that may mean another object by now.
        let entry = try entry(parent: parent, name: name, created: file.rawValue)
        return try createOut(file, flags, entry)
    }

    private func createOrOpen(
        _ caller: borrowing Caller, _ directory: Int32, _ name: Name, _ arguments: CreateIn,
        _ flags: OpenFlags
    ) throws(Errno) -> OwnedDescriptor {
        // Either call can lose a race with another maker or remover of the name, but not for ever.
        for _ in 0..<8 {
            do throws(Errno) {
                return try makeFile(caller, directory, name, arguments, flags)
            } catch {
                guard error == .EEXIST, Int32(bitPattern: arguments.flags) & O_EXCL == 0 else { throw error }
            }
            do throws(Errno) {
                return try openExisting(caller, directory, name, arguments, flags)
            } catch {
                guard error == .ENOENT else { throw error }
            }
        }
        throw .EBUSY
    }

    private func makeFile(
        _ caller: borrowing Caller, _ directory: Int32, _ name: Name, _ arguments: CreateIn,
        _ flags: OpenFlags
    ) throws(Errno) -> OwnedDescriptor {
        try requireRoom(opening: true)
        try enter(caller, umask: arguments.umask)
        let labelling = try beginLabelling(caller)
        defer { labelling.end() }
        let file = try unsafe openBeneath(
            directory, name.cString, flags: flags.host & ~O_TRUNC | O_CREAT | O_EXCL,
            mode: arguments.mode & Self.permissions)
        if labelling.isPending {
            do throws(Errno) {
                try setLabel(caller, on: file.rawValue)
            } catch {
                try? unsafe removeName(directory, name.cString)
                throw error
            }
        }
        return file
    }

    /// The guest's kernel saw no file of this name, so it has checked nobody's permissions for this one: the host does,
    /// by the caller's ids. The type is checked before anything but O_PATH is opened (CVE-2020-35517).
    private func openExisting(
        _ caller: borrowing Caller, _ directory: Int32, _ name: Name, _ arguments: CreateIn,
        _ flags: OpenFlags
    ) throws(Errno) -> OwnedDescriptor {
        try enter(caller, checked: false)
        let found = try unsafe openBeneath(directory, name.cString, flags: O_PATH)
        switch try FileStatus(of: found.rawValue).type {
        case FileType.regular: break
        case FileType.directory: throw .EISDIR
        case FileType.symbolicLink: throw .ELOOP
        default: throw .ENXIO
        }
        if flags.truncates, arguments.openFlags & OpenIn.killSuidGid != 0, credentials.keepsSetID {
            enterDaemon(losingSetID: true)
        }
        let file = try unsafe openAgain(
            share.processDescriptors, processName(of: found.rawValue), flags: flags.host)
        // Not before, because the open is what says whether the caller may. Until something is written it is empty.
        if flags.truncates { try dropMappedCapability(file.rawValue) }
        return file
    }

    /// O_TMPFILE. Its name may come later, by LINK; until then the inode lives by a descriptor that its record keeps.
    package func tmpfile(_ caller: Caller, parent: NodeID, _ arguments: CreateIn) throws(Errno) -> CreateOut {
        try requireWritable()
        let flags = try openFlags(arguments.flags)
        let directory = try descriptor(of: parent)
        try requireRoom(opening: true)
        try enter(caller, umask: arguments.umask)
        let labelling = try beginLabelling(caller)
        defer { labelling.end() }
        let exclusive = Int32(bitPattern: arguments.flags) & O_EXCL
        let file = try unsafe openBeneath(
            directory, ".", flags: flags.host & ~O_TRUNC | VFS_O_TMPFILE | exclusive,
            mode: arguments.mode & Self.permissions)
        if labelling.isPending { try setLabel(caller, on: file.rawValue) }
        let entry = try entry(parent: parent, unnamed: file.rawValue)
        return try createOut(file, flags, entry)
    }

    private func createOut(
        _ file: consuming OwnedDescriptor, _ flags: OpenFlags, _ entry: EntryOut
    ) throws(Errno) -> CreateOut {
        var out = CreateOut()
        out.entry = entry
        let node = NodeID(rawValue: entry.nodeID)
        do throws(Errno) {
            out.open = try openOut(file, node, flags)
        } catch {
            forget(node, count: 1)  // the guest never hears of the lookup that was counted
            throw error
        }
        return out
    }

    package func mknod(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MknodIn
    ) throws(Errno) -> EntryOut {
        let mode = arguments.mode & (FileType.mask | Self.permissions)
        return try make(caller, parent, name, umask: arguments.umask) { directory throws(Errno) in
            try unsafe makeNode(directory, name.cString, mode: mode, device: arguments.rdev)
        }
    }

    package func mkdir(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MkdirIn
    ) throws(Errno) -> EntryOut {
        let mode = arguments.mode & Self.permissions
        return try make(caller, parent, name, umask: arguments.umask) { directory throws(Errno) in
            try unsafe makeDirectory(directory, name.cString, mode: mode)
        }
    }

    package func symlink(_ caller: Caller, parent: NodeID, name: Name, target: Text) throws(Errno) -> EntryOut
    {
        try make(caller, parent, name, umask: 0) { directory throws(Errno) in
            try unsafe makeSymbolicLink(directory, name.cString, target: target.cString)
        }
    }

    private func make(
        _ caller: Caller, _ parent: NodeID, _ name: Name, umask: UInt32, _ call: (Int32) throws(Errno) -> Void
    ) throws(Errno) -> EntryOut {
        try requireWritable()
        let directory = try descriptor(of: parent)
        try requireRoom(opening: false)
        try enter(caller, umask: umask)
        let labelling = try beginLabelling(caller)
        defer { labelling.end() }
        try call(directory)
        do throws(Errno) {
            let object = try unsafe openBeneath(directory, name.cString, flags: O_PATH)
            if labelling.isPending { try setLabel(caller, on: object.rawValue) }
            return try entry(parent: parent, name: name, made: object)
        } catch {
            if labelling.isPending {
                // Whichever it is, the other call changes nothing.
                try? unsafe removeName(directory, name.cString)
                try? unsafe removeName(directory, name.cString, ofDirectory: true)
            }
            throw error
        }
    }
}
