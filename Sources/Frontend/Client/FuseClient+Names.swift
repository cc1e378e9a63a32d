// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// Requests that look names up, make them and remove them.
extension FuseClient {
    package func lookup(_ parent: NodeID, _ name: some Collection<UInt8>) throws(Errno) -> EntryOut {
        var request = FuseRequest(.lookup, parent)
        request.append(name: name)
        return try call(request, returning: EntryOut.self)
    }

    /// Looks every component up, from the root on; EINVAL for none.
    package func walk(_ path: some Collection<UInt8>) throws(Errno) -> EntryOut {
        var entry: EntryOut?
        for name in path.split(separator: UInt8(ascii: "/")) {
            entry = try lookup(entry.map { NodeID(rawValue: $0.nodeID) } ?? .root, name)
        }
        guard let entry else { throw .EINVAL }
        return entry
    }

    package func mkdir(
        _ parent: NodeID, _ name: some Collection<UInt8>, mode: UInt32 = 0o755, umask: UInt32 = 0
    ) throws(Errno) -> EntryOut {
        var argument = MkdirIn()
        argument.mode = mode
        argument.umask = umask
        var request = FuseRequest(.mkdir, parent, argument)
        request.append(name: name)
        return try call(request, returning: EntryOut.self)
    }

    package func mknod(
        _ parent: NodeID, _ name: some Collection<UInt8>, mode: UInt32, rdev: UInt32 = 0, umask: UInt32 = 0
    ) throws(Errno) -> EntryOut {
        var argument = MknodIn()
        argument.mode = mode
        argument.rdev = rdev
        argument.umask = umask
        var request = FuseRequest(.mknod, parent, argument)
        request.append(name: name)
        return try call(request, returning: EntryOut.self)
    }

    package func symlink(
        _ parent: NodeID, _ name: some Collection<UInt8>, target: some Collection<UInt8>
    ) throws(Errno) -> EntryOut {
        var request = FuseRequest(.symlink, parent)
        request.append(name: name)
        request.append(name: target)
        return try call(request, returning: EntryOut.self)
    }

    package func readlink(_ nodeID: NodeID, room: Int = 4096) throws(Errno) -> [UInt8] {
        var request = FuseRequest(.readlink, nodeID)
        request.replyBodyByteCount = room
        request.replyFixedByteCount = 0
        return try call(request)
    }

    package func link(
        _ nodeID: NodeID, to newParent: NodeID, _ name: some Collection<UInt8>
    ) throws(Errno) -> EntryOut {
        var argument = LinkIn()
        argument.oldNodeID = nodeID.rawValue
        var request = FuseRequest(.link, newParent, argument)
        request.append(name: name)
        return try call(request, returning: EntryOut.self)
    }

    package func unlink(_ parent: NodeID, _ name: some Collection<UInt8>) throws(Errno) {
        var request = FuseRequest(.unlink, parent)
        request.append(name: name)
        try call(request)
    }

    package func rmdir(_ parent: NodeID, _ name: some Collection<UInt8>) throws(Errno) {
        var request = FuseRequest(.rmdir, parent)
        request.append(name: name)
        try call(request)
    }

    /// RENAME.
    package func rename(
        _ parent: NodeID, _ name: some Collection<UInt8>, to newParent: NodeID,
        _ newName: some Collection<UInt8>
    ) throws(Errno) {
        var argument = RenameIn()
        argument.newDirectory = newParent.rawValue
        var request = FuseRequest(.rename, parent, argument)
        request.append(name: name)
        request.append(name: newName)
        try call(request)
    }

    /// RENAME2; `flags` are RENAME_*.
    package func rename2(
        _ parent: NodeID, _ name: some Collection<UInt8>, to newParent: NodeID,
        _ newName: some Collection<UInt8>,
        flags: UInt32
    ) throws(Errno) {
        var argument = Rename2In()
        argument.newDirectory = newParent.rawValue
        argument.flags = flags
        var request = FuseRequest(.rename2, parent, argument)
        request.append(name: name)
        request.append(name: newName)
        try call(request)
    }
}
