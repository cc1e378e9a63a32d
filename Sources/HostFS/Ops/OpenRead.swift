// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// OPEN, READ, FLUSH, RELEASE and LSEEK: what a reader needs.
extension HostFS {
    /// ENOSYS, by which the guest stops asking, where it opens without.
    package func open(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        let flags = try openFlags(arguments.flags)
        let record = try hold(nodeID)
        guard record.type != FileType.directory else { throw .EISDIR }
        if opensByNode(record.type) { throw .ENOSYS }
        if flags.truncates, mappedCapability != nil {
            try dropMappedCapability(try descriptor(of: record, nodeID))
        }
        if flags.truncates && arguments.openFlags & OpenIn.killSuidGid != 0 {
            enterDaemonLosingSetID(of: nodeID, try descriptor(of: record, nodeID))
        } else {
            enterDaemon()
        }
        if flags.truncates, share.window != nil { noteChange(try descriptor(of: record, nodeID)) }
        let out: OpenOut
        do throws(Errno) {
            out = try openOut(try reopen(record, nodeID, flags: flags.host), nodeID, flags)
        } catch {
            guard error == .EPERM, flags.appends else { throw error }
            let file = try reopen(record, nodeID, flags: flags.appending.host)
            out = try openOut(file, nodeID, flags.appending)
        }
        if flags.truncates { noteSetting(nodeID, size: 0) }
        return out
    }

    /// The host's flags for the guest's, of OPEN, CREATE and TMPFILE.
    func openFlags(_ guest: UInt32) throws(Errno) -> OpenFlags {
        try OpenFlags(
            guest: guest, options: options, writeback: isNegotiated(InitFlags.writebackCache),
            forEverybody: opensFilesByNode)
    }

    /// Makes an opened regular file a handle of the guest, and says how the guest may cache it.
    func openOut(_ file: consuming OwnedDescriptor, _ node: NodeID, _ flags: OpenFlags) throws(Errno)
        -> OpenOut
    {
        var out = OpenOut()
        if opensFilesByNode {
            // A guest that opens without asking releases nothing, so what CREATE has opened serves everybody.
            try keepOpen(file, node, .file, flags.host)
        } else {
            out.handle = try addHandle(file, node: node, kind: .file, flags: flags.host).rawValue
        }
        if options.cache == .never || options.cache == .metadata {
            out.openFlags = OpenOutFlags.directIO | OpenOutFlags.parallelDirectWrites
        } else if keepsData {
            out.openFlags = OpenOutFlags.keepCache
        }
        // Who follows the version table drops what has changed. A mapped file has no cached pages; Linux 7.3 warns of those that others use when it drops them at an open.
        if isMapped(node) || tellsSlots { out.openFlags |= OpenOutFlags.keepCache }
        // Without locks of its owner to drop or pages to write, a close(2) in the guest is nobody's business.
        if !isNegotiated(InitFlags.posixLocks | InitFlags.writebackCache) {
            out.openFlags |= OpenOutFlags.noFlush
        }
        return out
    }

    /// One system call, also at the end of the file; more only for a short read that may not be the end, for more than
    /// IOV_MAX vectors, and for what the host has to fetch from its disk.
    package func read(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into data: DataVector,
        deferrals: any DeferralSource
    ) throws(Errno) -> Int {
        let file = try openFile(arguments.handle, of: nodeID)
        guard let offset = Int(exactly: arguments.offset) else { throw .EINVAL }
        let whole = HostRead(descriptor: file.descriptor, offset: offset, byteCount: data.byteCount)
        let kind: Wait = file.flags & O_DIRECT != 0 ? .directIO : .read
        var vectors = VectorCursor(data)
        var total = 0
        while let piece = unsafe vectors.piece {
            let count = try readPiece(kind, of: whole, deferrals) { flags throws(Errno) in
                try unsafe readVectors(
                    file.descriptor, piece.vectors, count: piece.count, at: offset &+ total, flags: flags)
            }
            total += count
            if count == 0 || vectors.isLast && !whole.mayGoOn(after: total) { break }
            vectors.advance(by: count)
        }
        return total
    }

    /// Without waiting where that is possible: from the page cache.
    private func readPiece(
        _ kind: Wait, of whole: HostRead, _ deferrals: any DeferralSource,
        _ read: (Int32) throws(Errno) -> Int
    ) throws(Errno) -> Int {
        if !mayWait, share.waits.areKnownBefore {
            do throws(Errno) { if kind == .read { return try read(Int32(RWF_NOWAIT)) } } catch {
                guard error == .EAGAIN || error == .EOPNOTSUPP else { throw error }
                if error == .EOPNOTSUPP { share.waits.areKnownBefore = false }
            }
            if share.waits.areKnownBefore, deferrals.take(whole) { throw .mustWait }
        }
        return try waiting(kind, copied: { kind == .read ? $0 : 0 }) { () throws(Errno) in try read(0) }
    }

    /// Never asked of what OPEN or CREATE has answered; a guest that opens without asking stops at ENOSYS.
    package func flush(_ caller: Caller, nodeID: NodeID, _ arguments: FlushIn) throws(Errno) {
        if isWithoutHandle(arguments.handle) { throw .ENOSYS }
        _ = try openFile(arguments.handle, of: nodeID)
        share.lockOwners.drop(nodeID, owner: arguments.lockOwner)
    }

    package func release(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        // Of a CREATE before the guest's first OPEN.
        if isWithoutHandle(arguments.handle) { return }
        if arguments.releaseFlags & ReleaseIn.flockUnlock != 0, options.flock {
            // A waiter may hold the open file description, and with it the lock, longer than the handle lives.
            let file = try openFile(arguments.handle, of: nodeID)
            try? DescriptionLock.whole(LOCK_UN).set(on: file.descriptor)
        }
        if arguments.releaseFlags & ReleaseIn.flush != 0 {
            share.lockOwners.drop(nodeID, owner: arguments.lockOwner)
        }
        try removeHandle(arguments.handle, of: nodeID, kind: .file)
    }

    package func lseek(_ caller: Caller, nodeID: NodeID, _ arguments: LseekIn) throws(Errno) -> UInt64 {
        let file = try openFile(arguments.handle, of: nodeID)
        let whence = Int32(bitPattern: arguments.whence)
        guard whence == SEEK_DATA || whence == SEEK_HOLE else { throw .EINVAL }
        guard let offset = Int(exactly: arguments.offset) else { throw .EINVAL }
        return UInt64(bitPattern: Int64(try seek(file.descriptor, to: offset, whence: whence)))
    }
}
