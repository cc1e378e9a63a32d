// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// GETLK, SETLK, SETLKW and flock(2): real locks of the host, so that guests and host processes exclude each other.
extension HostFS {
    /// OFFSET_MAX of Linux: the `end` of a lock that reaches to the end of the file, however long.
    private static let endOfAllFiles = UInt64(Int64.max)

    package func getlk(_ caller: Caller, nodeID: NodeID, _ arguments: LockIn) throws(Errno) -> FileLock {
        guard options.posixLock else { throw .ENOSYS }
        let file = try openFile(arguments.handle, of: nodeID)
        let lock = try recordLock(arguments.lock)
        // An owner without a description has no locks, nor has the handle's.
        let owner = share.lockOwners.find(nodeID, owner: arguments.owner)
        let conflict = try lock.conflict(on: owner?.file.rawValue ?? file.descriptor)
        var out = arguments.lock
        // A process id of the host, or of another guest, means nothing in this one.
        out.pid = 0
        guard let conflict else {
            out.type = UInt32(F_UNLCK)
            return out
        }
        out.type = UInt32(truncatingIfNeeded: conflict.type)
        out.start = UInt64(clamping: conflict.start)
        out.end =
            conflict.length == 0 ? Self.endOfAllFiles : out.start &+ UInt64(clamping: conflict.length) &- 1
        return out
    }

    package func setlk(
        _ caller: Caller, nodeID: NodeID, _ arguments: LockIn, wait: Bool, deferrals: any DeferralSource
    ) throws(Errno) -> Completion {
        let isWhole = arguments.lockFlags & LockIn.flock != 0
        guard isWhole ? options.flock : options.posixLock else { throw .ENOSYS }
        let file = try openFile(arguments.handle, of: nodeID)
        let lock = isWhole ? try wholeLock(arguments.lock.type) : try recordLock(arguments.lock)
        let owner = isWhole ? nil : try lockOwner(nodeID, arguments)
        if !isWhole && owner == nil { return .done }
        do throws(Errno) {
            try lock.set(on: owner?.file.rawValue ?? file.descriptor)
            return .done
        } catch {
            guard error == .EAGAIN || error == .EACCES else { throw error }
            guard wait else { throw .EAGAIN }
        }
        let description: LockDescription
        if let owner {
            description = owner
        } else {
            description = try LockDescription(duplicating: file.descriptor, quota: share.quota)
        }
        try share.lockWaiters.wait(for: lock, on: description, unique: caller.unique, deferrals: deferrals)
        return .deferred
    }

    package func interrupt(_ unique: Unique) { share.lockWaiters.cancel(unique) }

    /// The open file description of the lock's owner; nil when it has none and wants to unlock.
    private func lockOwner(_ nodeID: NodeID, _ arguments: LockIn) throws(Errno) -> LockDescription? {
        if let known = share.lockOwners.find(nodeID, owner: arguments.owner) { return known }
        if arguments.lock.type == UInt32(F_UNLCK) { return nil }
        enterDaemon()
        let opened = try LockDescription(try openForLocks(nodeID), quota: share.quota)
        return try share.lockOwners.keep(opened, of: nodeID, owner: arguments.owner)
    }

    /// Both kinds of locks need a descriptor of their kind of access; what cannot be written can only be read-locked.
    private func openForLocks(_ nodeID: NodeID) throws(Errno) -> OwnedDescriptor {
        if options.readOnly { return try reopen(nodeID, flags: O_RDONLY) }
        do throws(Errno) {
            return try reopen(nodeID, flags: O_RDWR)
        } catch {
            guard error == .EACCES || error == .EROFS || error == .EPERM || error == .ETXTBSY else {
                throw error
            }
            return try reopen(nodeID, flags: O_RDONLY)
        }
    }

    private func recordLock(_ lock: FileLock) throws(Errno) -> DescriptionLock {
        guard lock.type <= UInt32(F_UNLCK), lock.start <= lock.end, lock.end <= Self.endOfAllFiles,
            let start = Int(exactly: lock.start), let end = Int(exactly: lock.end)
        else { throw .EINVAL }
        let length = lock.end == Self.endOfAllFiles ? 0 : end - start + 1
        return .record(type: Int16(truncatingIfNeeded: lock.type), start: start, length: length)
    }

    private func wholeLock(_ type: UInt32) throws(Errno) -> DescriptionLock {
        switch type {
        case UInt32(F_RDLCK): .whole(LOCK_SH)
        case UInt32(F_WRLCK): .whole(LOCK_EX)
        case UInt32(F_UNLCK): .whole(LOCK_UN)
        default: throw .EINVAL
        }
    }
}
