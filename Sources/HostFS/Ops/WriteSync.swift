// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// WRITE, FSYNC and SYNCFS.
extension HostFS {
    /// A write that the host cut short (a full disk, a limit) is returned as it is: the guest goes on from there.
    package func write(
        _ caller: Caller, nodeID: NodeID, _ arguments: WriteIn, from data: DataVector
    ) throws(Errno) -> Int {
        try requireWritable()
        let file = try openFile(arguments.handle, of: nodeID, for: .writing)
        guard let offset = Int(exactly: arguments.offset) else { throw .EINVAL }
        // The host would append what has an offset of its own: a page of an append-only file that a mapping has changed.
        let appends = Int32(bitPattern: arguments.flags) & O_APPEND != 0
        if file.flags & O_APPEND != 0, !appends || arguments.writeFlags & WriteIn.cache != 0 { throw .EPERM }
        try dropMappedCapability(file.descriptor)
        useSetIDRule(losing: arguments.writeFlags & WriteIn.killSuidGid != 0, of: nodeID, file.descriptor)
        let flags = writeFlags(arguments)
        noteChange(file.descriptor)
        var vectors = VectorCursor(data)
        var total = 0
        while let piece = unsafe vectors.piece {
            do throws(Errno) {
                let count = try unsafe write(
                    file, piece.vectors, count: piece.count, at: offset &+ total, flags: flags)
                total += count
                if count == 0 || vectors.isLast { break }
                vectors.advance(by: count)
            } catch {
                if total == 0 { throw error }
                break
            }
        }
        // Of a mapped file Linux sends only what ends behind the size that it believes in, or a part of that. Parts but for the last
        // are larger than this.
        let isEnd =
            arguments.writeFlags & WriteIn.cache == 0 && total == Int(arguments.size) && total <= 65536
        noteGrowth(nodeID, file.descriptor, offset, total, isEnd: isEnd)
        return total
    }

    /// Into the page cache, or to the disk where the guest asked for that.
    private func write(
        _ file: OpenFile, _ vectors: UnsafePointer<iovec>, count: Int32, at offset: Int, flags: Int32
    ) throws(Errno) -> Int {
        func write() throws(Errno) -> Int {
            try unsafe writeVectors(file.descriptor, vectors, count: count, at: offset, flags: flags)
        }
        // What has been written of this request stands, so only its first piece can be left to others.
        if file.flags & O_DIRECT != 0 { return try waiting(.directIO) { () throws(Errno) in try write() } }
        if flags & Int32(RWF_SYNC | RWF_DSYNC) != 0 {
            return try waiting(.synchronize) { () throws(Errno) in try write() }
        }
        return try write()
    }

    /// The guest's open flags of this moment, for this write: handles are opened without O_APPEND where that can be, because
    /// pages that the guest writes back have their own offset.
    private func writeFlags(_ arguments: WriteIn) -> Int32 {
        if arguments.writeFlags & WriteIn.cache != 0 { return 0 }
        let guest = Int32(bitPattern: arguments.flags)
        var flags: Int32 = 0
        if guest & O_APPEND != 0 { flags |= Int32(RWF_APPEND) }
        if guest & O_SYNC == O_SYNC {
            flags |= Int32(RWF_SYNC)
        } else if guest & O_DSYNC != 0 {
            flags |= Int32(RWF_DSYNC)
        }
        return flags
    }

    package func fsync(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        let file = try openFile(arguments.handle, of: nodeID)
        try waiting(.synchronize) { () throws(Errno) in
            try synchronize(file.descriptor, dataOnly: arguments.flags & FsyncIn.dataOnly != 0)
        }
    }

    /// `nodeID` is the root of a file system as the guest sees it; syncfs(2) takes no O_PATH.
    package func syncfs(_ caller: Caller, nodeID: NodeID) throws(Errno) {
        enterDaemon()
        let opened = try reopen(nodeID, flags: O_RDONLY)
        let number = opened.rawValue
        try waiting(.synchronizeAll) { () throws(Errno) in try synchronizeFileSystem(of: number) }
    }
}
