// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

extension HostFS {
    package func opendir(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        enterDaemon()
        guard try type(of: nodeID) == FileType.directory else { throw .ENOTDIR }
        if opensByNode(FileType.directory) { throw .ENOSYS }
        let directory = try reopen(nodeID, flags: O_RDONLY | O_DIRECTORY)
        var reply = OpenOut()
        reply.handle = try addHandle(directory, node: nodeID, kind: .directory, flags: O_RDONLY).rawValue
        // A guest that keeps a listing compares mtimes when it uses it again, and those can be equal for changes within
        // one clock tick: fine only where names may be old for long anyway. Under `auto` it would also ask more: what it
        // reads again refreshes the names and attributes of all entries in one go.
        if options.cache == .metadata || keepsData || tellsSlots {
            reply.openFlags = OpenOutFlags.keepCache | OpenOutFlags.cacheDirectory
        }
        return reply
    }

    package func releasedir(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        enterDaemon()
        try removeHandle(arguments.handle, of: nodeID, kind: .directory)
    }

    package func fsyncdir(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        enterDaemon()
        let number = try hold(arguments.handle, of: nodeID, kind: .directory).descriptor
        try waiting(.synchronize) { () throws(Errno) in
            try synchronize(number, dataOnly: arguments.flags & FsyncIn.dataOnly != 0)
        }
    }

    package func readdir(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        enterDaemon()
        let directory = try hold(arguments.handle, of: nodeID, kind: .directory)
        for entry in try readEntries(directory, arguments, room: reply.remaining, prefix: 0) {
            _ = appendEntry(entry, to: &reply)
        }
    }

    /// One statx(2) for each entry besides the reading, and a file handle for what the guest does not know yet.
    package func readdirplus(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        enterDaemon()
        let directory = try hold(arguments.handle, of: nodeID, kind: .directory)
        let prefix = MemoryLayout<EntryOut>.size
        for entry in try readEntries(directory, arguments, room: reply.remaining, prefix: prefix) {
            // nodeID 0 says nothing about the object: for "." and "..", and for what vanished or cannot be reached.
            var attributes = EntryOut()
            if !entry.isDotOrDotDot,
                let found = try? unsafe self.entry(
                    parent: nodeID, parentDescriptor: directory.descriptor, cString: entry.cString)
            {
                attributes = found
            }
            let start = reply.count
            guard reply.append(attributes), appendEntry(entry, to: &reply) else {
                reply.truncate(to: start)
                if attributes.nodeID != 0 { forget(NodeID(rawValue: attributes.nodeID), count: 1) }
                return
            }
        }
    }

    private func appendEntry(_ entry: HostDirent, to reply: inout ReplyBuffer) -> Bool {
        var record = Dirent()
        record.ino = max(entry.number, 1)  // some file systems have a 0, which means "deleted" to readdir(3)
        record.offset = entry.nextOffset
        record.nameLength = UInt32(truncatingIfNeeded: entry.nameByteCount)
        record.type = UInt32(entry.type)
        guard reply.append(record), unsafe reply.append(entry.nameBytes) else { return false }
        return reply.appendZeros(FuseDirent.padding(nameByteCount: entry.nameByteCount))
    }

    /// Reads entries from `arguments.offset` that fit the reply when each has `prefix` bytes before it.
    ///
    /// - Throws: EINVAL when there is not even room for the next entry, since an empty reply means the end.
    private func readEntries(
        _ directory: HandleRecord, _ arguments: ReadIn, room: Int, prefix: Int
    ) throws(Errno) -> HostDirents {
        let limit = min(room, Int(arguments.size))
        let wanted = FuseDirent.hostByteCount(fittingIn: limit, prefix: prefix)
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            rebasing: directoryEntries[..<min(wanted, directoryEntries.count)])
        guard let start = buffer.baseAddress else { throw .EIO }
        let number = directory.descriptor
        let lock = share.directoryLocks[Int(directory.slot) % share.directoryLocks.count]
        let byteCount = try lock.mutex.withLock { _ throws(Errno) -> Int in
            if directory.position != arguments.offset {
                _ = try seek(number, to: Int(bitPattern: UInt(arguments.offset)), whence: SEEK_SET)
            }
            directory.position = HandleRecord.unknownPosition
            let count = try systemCall { unsafe getdents64(number, start, buffer.count) }
            let all = unsafe HostDirents(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            let fitting = all.fitting(in: limit, prefix: prefix)
            if count > 0, fitting.isEmpty { throw .EINVAL }
            // What did not fit was read for nothing; the next request has to seek.
            if fitting.byteCount == all.byteCount, let last = all.lastOffset { directory.position = last }
            return fitting.byteCount
        }
        return unsafe HostDirents(UnsafeRawBufferPointer(rebasing: buffer[..<byteCount]))
    }
}
