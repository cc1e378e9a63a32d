// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// STATFS, FALLOCATE and COPY_FILE_RANGE.
extension HostFS {
    package func statfs(_ caller: Caller, nodeID: NodeID) throws(Errno) -> StatFSOut {
        let status = try fileSystemStatus(of: try descriptor(of: nodeID))
        var out = StatFSOut()
        out.blocks = UInt64(status.f_blocks)
        out.bfree = UInt64(status.f_bfree)
        out.bavail = UInt64(status.f_bavail)
        out.files = UInt64(status.f_files)
        out.ffree = UInt64(status.f_ffree)
        out.bsize = UInt32(clamping: status.f_bsize)
        out.namelen = UInt32(clamping: status.f_namelen)
        out.frsize = UInt32(clamping: status.f_frsize)
        return out
    }

    /// The three modes of the protocol. The others move data under the guest's page cache: EOPNOTSUPP.
    package func fallocate(_ caller: Caller, nodeID: NodeID, _ arguments: FallocateIn) throws(Errno) {
        try requireWritable()
        let file = try openFile(arguments.handle, of: nodeID, for: .writing)
        let mode = Int32(bitPattern: arguments.mode)
        guard mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) == 0 else {
            throw .EOPNOTSUPP
        }
        guard let offset = Int(exactly: arguments.offset), let length = Int(exactly: arguments.length) else {
            throw .EINVAL
        }
        try dropMappedCapability(file.descriptor)
        useSetIDRule(losing: isNegotiated(InitFlags.handleKillPrivV2), of: nodeID, file.descriptor)
        noteChange(file.descriptor)
        try waiting(.allocate) { () throws(Errno) in
            try allocateSpace(file.descriptor, mode: mode, offset: offset, length: length)
        }
        let grows = mode & FALLOC_FL_KEEP_SIZE == 0
        noteGrowth(nodeID, file.descriptor, grows ? offset : 0, grows ? length : 0)
    }

    /// One call: a result shorter than `length` makes the guest ask again. EXDEV and EOPNOTSUPP make it read and write.
    package func copyFileRange(
        _ caller: Caller, nodeID: NodeID, _ arguments: CopyFileRangeIn
    ) throws(Errno) -> UInt64 {
        try requireWritable()
        let source = try openFile(arguments.handleIn, of: nodeID)
        let targetNode = NodeID(rawValue: arguments.nodeIDOut)
        let target = try openFile(arguments.handleOut, of: targetNode, for: .writing)
        guard arguments.flags == 0, let from = Int(exactly: arguments.offsetIn),
            let to = Int(exactly: arguments.offsetOut)
        else { throw .EINVAL }
        try dropMappedCapability(target.descriptor)
        // Neither this nor FALLOCATE says whether the caller may keep set-id bits, and with KILLPRIV_V2 the guest leaves
        // dropping them to us: always.
        useSetIDRule(losing: isNegotiated(InitFlags.handleKillPrivV2), of: targetNode, target.descriptor)
        noteChange(target.descriptor)
        let length = Int(clamping: arguments.length)
        let count = try waiting(.copy) { () throws(Errno) in
            try copyRange(from: source.descriptor, at: from, to: target.descriptor, at: to, length: length)
        }
        noteGrowth(targetNode, target.descriptor, to, count)
        return UInt64(clamping: min(count, length))
    }
}
