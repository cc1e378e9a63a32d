// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

extension HostFS {
    package func getattr(_ caller: Caller, nodeID: NodeID, handle: HandleID?) throws(Errno) -> AttrOut {
        enterDaemon()
        let number = try number(nodeID, handle)
        return makeAttributes(nodeID, try settled { () throws(Errno) in try FileStatus(of: number) })
    }

    package func statx(
        _ caller: Caller, nodeID: NodeID, handle: HandleID?, _ arguments: StatxIn
    ) throws(Errno) -> StatxOut {
        enterDaemon()
        let sync = Int32(truncatingIfNeeded: arguments.flags) & AT_STATX_SYNC_TYPE
        var reply = StatxOut()
        let number = try number(nodeID, handle)
        let status = try settled { () throws(Errno) in try FileStatus(of: number, flags: sync) }
        let validity = validity(of: status).attributes
        (reply.attrValid, reply.attrValidNsec) = (validity.seconds, validity.nanoseconds)
        if let slot = slot(status) { (reply.attrValid, reply.attrValidNsec) = (slot, 0) }
        noteMode(of: nodeID, status)
        reply.stat = extendedAttributes(status)
        return reply
    }

    /// Of the open file where there is one, so that what was unlinked can still be asked about.
    private func number(_ node: NodeID, _ handle: HandleID?) throws(Errno) -> Int32 {
        if let handle, !isWithoutHandle(handle.rawValue) {
            return try hold(handle.rawValue, of: node, kind: nil).descriptor
        }
        return try descriptor(of: node)
    }

    @inline(__always)
    private func makeAttributes(_ node: NodeID, _ status: FileStatus) -> AttrOut {
        noteMode(of: node, status)
        var reply = AttrOut()
        let validity = validity(of: status).attributes
        (reply.attrValid, reply.attrValidNsec) = (validity.seconds, validity.nanoseconds)
        if let slot = slot(status) { (reply.attrValid, reply.attrValidNsec) = (slot, 0) }
        reply.attributes = attributes(status)
        return reply
    }

    /// access(2) as the caller. Linux guests check permissions themselves and never ask.
    package func access(_ caller: Caller, nodeID: NodeID, mask: UInt32) throws(Errno) {
        guard mask & ~UInt32(R_OK | W_OK | X_OK) == 0 else { throw .EINVAL }
        if isReadOnly, mask & UInt32(W_OK) != 0 { throw .EROFS }
        let number = try descriptor(of: nodeID)
        try enter(caller, checked: false)
        do throws(Errno) {
            _ = try systemCall { vfs_access_fd(number, Int32(mask)) }
        } catch {
            // On the sandbox's mount, which is noexec, nobody may execute a file; on the guest's the mode decides.
            guard error == .EACCES, mask & UInt32(X_OK) != 0, try type(of: nodeID) == FileType.regular,
                vfs_is_noexec(number) != 0
            else { throw error }
            _ = try systemCall { vfs_access_fd(number, Int32(mask & ~UInt32(X_OK))) }
            guard credentials.mayExecute(try FileStatus(of: number)) else { throw error }
        }
    }

    /// Owner before mode, because a new owner clears the set-id bits that the mode may set; times last, because all else
    /// changes them.
    ///
    /// A request for nothing is what a guest makes of chown(path, -1, -1) under FUSE_HANDLE_KILLPRIV_V2. It does nothing, as
    /// in POSIX: clearing set-id bits, as Linux does for the owner, would do it for everybody, because the guest has not
    /// checked who asks and under FUSE_ALLOW_IDMAP does not say.
    package func setattr(_ caller: Caller, nodeID: NodeID, _ arguments: SetAttrIn) throws(Errno) -> AttrOut {
        try requireWritable()
        enterDaemon()
        let valid = arguments.valid
        let handle =
            valid & SetAttrValid.handle == 0 || isWithoutHandle(arguments.handle)
            ? nil : try hold(arguments.handle, of: nodeID, kind: nil)
        let number = if let handle { handle.descriptor } else { try descriptor(of: nodeID) }

        noteChange(number)
        if valid & (SetAttrValid.uid | SetAttrValid.gid | SetAttrValid.size) != 0 {
            try dropMappedCapability(number)
        }
        if valid & (SetAttrValid.uid | SetAttrValid.gid) != 0 { try changeOwner(number, arguments) }
        if valid & SetAttrValid.mode != 0 {
            try changeMode(number, arguments.mode & 0o7777)
        }
        if valid & SetAttrValid.size != 0 { try changeSize(nodeID, handle, arguments) }
        if valid & (SetAttrValid.atime | SetAttrValid.mtime) != 0 { try changeTimes(number, arguments) }
        noteSetting(nodeID, size: valid & SetAttrValid.size == 0 ? nil : arguments.size)
        return makeAttributes(
            nodeID, try settled { () throws(Errno) in try FileStatus(of: number) })
    }

    private func changeMode(_ number: Int32, _ mode: UInt32) throws(Errno) {
        if share.changesModeByDescriptor {
            do throws(Errno) {
                _ = try systemCall { unsafe vfs_fchmodat2(number, "", mode, AT_EMPTY_PATH) }
                return
            } catch {
                // Before Linux 6.6.
                guard error == .ENOSYS else { throw error }
                share.changesModeByDescriptor = false
            }
        }
        _ = try systemCall { unsafe fchmodat(AT_FDCWD, processName(of: number), mode, 0) }
    }

    private func changeOwner(_ number: Int32, _ arguments: SetAttrIn) throws(Errno) {
        let unchanged = UInt32.max  // to chown(2) as well, so a guest cannot mean it as an id
        let uid = arguments.valid & SetAttrValid.uid == 0 ? unchanged : arguments.uid
        let gid = arguments.valid & SetAttrValid.gid == 0 ? unchanged : arguments.gid
        if arguments.valid & SetAttrValid.uid != 0, uid == unchanged { throw .EINVAL }
        if arguments.valid & SetAttrValid.gid != 0, gid == unchanged { throw .EINVAL }
        let (user, group) = (
            uid == unchanged ? unchanged : try hostUser(uid),
            gid == unchanged ? unchanged : try hostGroup(gid)
        )
        _ = try systemCall { vfs_chown_fd(number, user, group) }
    }

    private func changeSize(_ node: NodeID, _ handle: HandleRecord?, _ arguments: SetAttrIn) throws(Errno) {
        guard let size = Int(exactly: arguments.size) else { throw .EFBIG }
        let losesSetID = arguments.valid & SetAttrValid.killSuidGid != 0
        if let handle, handle.openFlags & UInt32(O_ACCMODE) != UInt32(O_RDONLY) {
            let number = handle.descriptor
            if losesSetID { enterDaemonLosingSetID(of: node, number) }
            _ = try systemCall { ftruncate(number, size) }
        } else {
            let record = try hold(node)
            try requireFileOrDirectory(record)
            let number = try descriptor(of: record, node)
            if losesSetID { enterDaemonLosingSetID(of: node, number) }
            _ = try systemCall { unsafe truncate(processName(of: number), size) }
        }
        enterDaemon()
    }

    private func changeTimes(_ number: Int32, _ arguments: SetAttrIn) throws(Errno) {
        let valid = arguments.valid
        let atime = try time(
            arguments.atime, arguments.atimensec, set: valid & SetAttrValid.atime != 0,
            now: valid & SetAttrValid.atimeNow != 0)
        let mtime = try time(
            arguments.mtime, arguments.mtimensec, set: valid & SetAttrValid.mtime != 0,
            now: valid & SetAttrValid.mtimeNow != 0)
        var times = (atime, mtime)
        _ = try systemCall {
            unsafe withUnsafePointer(to: &times) {
                unsafe $0.withMemoryRebound(to: timespec.self, capacity: 2) {
                    unsafe vfs_utimens_fd(number, $0)
                }
            }
        }
    }

    /// What utimensat(2) is told of one time stamp.
    private func time(_ seconds: UInt64, _ nanoseconds: UInt32, set: Bool, now: Bool) throws(Errno)
        -> timespec
    {
        guard set else { return timespec(tv_sec: 0, tv_nsec: VFS_UTIME_OMIT) }
        if now { return timespec(tv_sec: 0, tv_nsec: VFS_UTIME_NOW) }
        guard nanoseconds < 1_000_000_000 else { throw .EINVAL }
        return timespec(tv_sec: Int(truncatingIfNeeded: seconds), tv_nsec: Int(nanoseconds))
    }
}
