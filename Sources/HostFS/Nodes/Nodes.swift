// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

// From a nodeid to something that system calls take.
extension HostFS {
    /// The record of `node`, held until the request ends. ESTALE if it is forged, forgotten or of an earlier object.
    func hold(_ node: NodeID) throws(Errno) -> InodeRecord {
        try pins.add(Pin.inode(UInt32(truncatingIfNeeded: node.rawValue)))
        pins.fence()
        guard let slot = share.inodes.slots.find(node.rawValue) else { throw .ESTALE }
        return share.inodes.record(slot)
    }

    /// A descriptor of `node`, O_PATH: good as the directory of *at calls, for statx and for opening again. Valid until
    /// the request ends. ESTALE if the object is gone from the host.
    func descriptor(of node: NodeID) throws(Errno) -> Int32 { try descriptor(of: try hold(node), node) }

    func descriptor(of record: InodeRecord, _ node: NodeID) throws(Errno) -> Int32 {
        while true {
            // The mark comes with the descriptor that is kept, or after it.
            if record.has(VFS_INODE_KEEPS_DESCRIPTOR) { return record.descriptor }
            let number = record.descriptor
            if number < 0 { return try bringBack(record, node) }
            let mark = pins.count
            try pins.add(Pin.descriptor(number))
            pins.fence()
            if record.descriptor == number {
                if !record.has(VFS_INODE_RECENT) { record.set(VFS_INODE_RECENT) }
                return number
            }
            pins.truncate(to: mark)
        }
    }

    /// Opens `node`, a regular file or directory, for I/O. On a read-only share not even the time of access changes, where
    /// the host allows that: it does for files of ours, and with CAP_FOWNER.
    func reopen(_ node: NodeID, flags: Int32) throws(Errno) -> OwnedDescriptor {
        try reopen(try hold(node), node, flags: flags)
    }

    func reopen(_ record: InodeRecord, _ node: NodeID, flags: Int32) throws(Errno) -> OwnedDescriptor {
        try requireFileOrDirectory(record)
        let safe = flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW | O_PATH)
        if isReadOnly {
            do throws(Errno) { return try openForIO(record, node, flags: safe | O_NOATIME) } catch {
                guard error == .EPERM else { throw error }
            }
        }
        return try openForIO(record, node, flags: safe)
    }

    private func openForIO(_ record: InodeRecord, _ node: NodeID, flags: Int32) throws(Errno)
        -> OwnedDescriptor
    {
        // A handle that was seen to lead to this object needs no O_PATH descriptor in between, and no walk through /proc.
        if record.has(VFS_INODE_VERIFIED), credentials.isDaemon {
            if record.descriptor < 0 { return try openByHandle(record, flags: flags) }
            if record.mount == share.quickHandleMount, record.hasHandle {
                do throws(Errno) {
                    return try unsafe openHandle(
                        share.quickHandleDescriptor, record.handleAddress, flags: flags)
                } catch {
                    // What has lost its last name is still open here, but its handle leads nowhere.
                }
            }
        }
        let number = try descriptor(of: record, node)
        return try unsafe openAgain(share.processDescriptors, processName(of: number), flags: flags)
    }

    /// Nothing else is ever opened: opening a device or FIFO of the share would act on the host (CVE-2020-35517). ELOOP for a
    /// symbolic link, ENXIO for the others.
    func requireFileOrDirectory(_ record: InodeRecord) throws(Errno) {
        switch record.type {
        case FileType.regular, FileType.directory: break
        case FileType.symbolicLink: throw .ELOOP
        default: throw .ENXIO
        }
    }

    /// Keeps what `name` means open, if the guest knows that and its name is about to go: it stays reachable by its
    /// descriptor, where its handle would lead nowhere any more. For what the guest does to an object whose name it has lost:
    /// an OPEN after a LOOKUP, stat(2) of a working directory, the times of a file that it caches.
    func keepKnown(_ directory: Int32, _ name: Name) {
        guard let status = try? unsafe FileStatus(directory, name.cString),
            let node = share.inodes.find(Identity(status))
        else { return }
        try? keep(node)
    }

    /// The same for what the guest was told of lately, which costs nothing while that is hot; false if that is not known, or is
    /// gone already.
    func keepTold(_ key: NamesTold.Key) -> Bool {
        guard let node = share.namesTold.find(key) else { return false }
        do throws(Errno) {
            try keep(node)
            return true
        } catch { return false }
    }

    /// A guest that opens without asking may have it open, so it is kept until the guest forgets it.
    private func keep(_ node: NodeID) throws(Errno) {
        let record = try hold(node)
        let mark = pins.count
        while true {
            let number = try descriptor(of: record, node)
            guard opensByNode(record.type) else {
                if record.isLent(number) { record.set(VFS_INODE_REPLACED) }
                return
            }
            if record.has(VFS_INODE_KEEPS_DESCRIPTOR) { return }
            if record.isLent(number) { try replaceLent(number, of: record) }
            makeRoom()
            try share.hot.keep(record, share.quota)
            pins.truncate(to: mark)
        }
    }

    /// Gives a record that lives by the guest's open file `number` a descriptor of its own; false if it no longer does.
    @discardableResult
    private func replaceLent(_ number: Int32, of record: InodeRecord) throws(Errno) -> Bool {
        let object = try unsafe openAgain(
            share.processDescriptors, processName(of: number), flags: O_PATH)
        guard record.giveBack(number, keeping: object.rawValue) else { return false }
        _ = object.release()
        return true
    }

    /// The object's type (S_IFMT), which never changes.
    func type(of node: NodeID) throws(Errno) -> UInt32 { try hold(node).type }

    private func openByHandle(_ record: InodeRecord, flags: Int32) throws(Errno) -> OwnedDescriptor {
        do throws(Errno) {
            guard record.hasHandle, let mount = share.mounts.descriptor(of: record.mount) else {
                throw .ESTALE
            }
            return try unsafe openHandle(mount, record.handleAddress, flags: flags)
        } catch {
            // ENOMEM is what Linux says while another object with the same inode number is being made (iget_locked).
            guard error == .ESTALE || error == .ENOENT || error == .ENOMEM else { throw error }
            share.inodes.unindex(record)
            throw .ESTALE
        }
    }

    /// Opens a cold inode by its file handle and keeps the descriptor while it is hot.
    private func bringBack(_ record: InodeRecord, _ node: NodeID) throws(Errno) -> Int32 {
        let wasDaemon = credentials.isDaemon
        let caller = credentials.current
        if !wasDaemon { credentials.enterDaemon() }
        let opened: OwnedDescriptor
        do throws(Errno) {
            opened = try openVerified(record)
        } catch {
            if !wasDaemon { credentials.restore(caller) }
            throw error
        }
        if !wasDaemon { credentials.restore(caller) }

        let number = opened.rawValue
        try pins.add(Pin.descriptor(number))
        pins.fence()
        guard record.install(number) else {
            // Another worker brought it back meanwhile; ours is closed, and its number no longer means it.
            _ = consume opened
            return try descriptor(of: record, node)
        }
        _ = opened.release()
        record.set(VFS_INODE_RECENT)
        try keepHot(node)
        return number
    }

    /// `node` has a descriptor of its own now, which may have to give way to others later.
    func keepHot(_ node: NodeID) throws(Errno) {
        guard let slot = try share.hot.insert(node.rawValue, pins: pins) else { return }
        let record = share.inodes.record(slot)
        if !record.hasHandle, !giveHandle(record, record.descriptor) {
            // Its descriptor is all there is.
            try? share.hot.keep(record, share.quota)
        }
        let evicted = share.hot.take(record)
        if evicted >= 0 { share.retire(.descriptor(evicted)) }
    }

    /// The guest closes the file `number` that it made `node` with: where the record lives by that, it gets a handle, or a
    /// descriptor of its own.
    func outlive(_ number: Int32, _ node: NodeID) throws(Errno) {
        // Before anything is held, for most files are not lent. That number is lent to no other record while it is open.
        guard share.inodes.record(UInt32(truncatingIfNeeded: node.rawValue)).isLent(number),
            let record = try? hold(node), record.isLent(number)
        else { return }
        if !record.has(VFS_INODE_REPLACED), giveHandle(record, number) { return }
        if try replaceLent(number, of: record) { try keepHot(node) }
    }

    /// Opens by handle; the first time checks that the handle, which came from a path walk of its own, leads to the
    /// object that statx(2) saw.
    private func openVerified(_ record: InodeRecord) throws(Errno) -> OwnedDescriptor {
        let opened = try openByHandle(record, flags: O_PATH | O_NOFOLLOW)
        if !record.has(VFS_INODE_VERIFIED) {
            var identity = Identity(try FileStatus(of: opened.rawValue))
            identity.mount = record.mount
            guard identity == record.identity else {
                share.inodes.unindex(record)
                throw .ESTALE
            }
            record.set(VFS_INODE_VERIFIED)
        }
        return opened
    }
}

extension Identity {
    init(_ status: FileStatus) {
        self.init(
            number: status.raw.stx_ino, device: status.device,
            birthSeconds: status.hasBirthTime ? status.raw.stx_btime.tv_sec : 0,
            birthNanoseconds: status.hasBirthTime ? status.raw.stx_btime.tv_nsec : Identity.unknownBirth,
            mount: status.mount, type: status.type)
    }
}
