// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// Requests about attributes, extended ones too, and about the file system as a whole.
extension FuseClient {
    package func getattr(_ nodeID: NodeID, handle: UInt64? = nil) throws(Errno) -> AttrOut {
        var argument = GetAttrIn()
        if let handle {
            argument.flags = GetAttrIn.hasHandle
            argument.handle = handle
        }
        return try call(FuseRequest(.getattr, nodeID, argument), returning: AttrOut.self)
    }

    package func setattr(_ nodeID: NodeID, _ argument: SetAttrIn) throws(Errno) -> AttrOut {
        try call(FuseRequest(.setattr, nodeID, argument), returning: AttrOut.self)
    }

    package func truncate(_ nodeID: NodeID, to size: UInt64) throws(Errno) -> AttrOut {
        var argument = SetAttrIn()
        argument.valid = SetAttrValid.size
        argument.size = size
        return try setattr(nodeID, argument)
    }

    package func chmod(_ nodeID: NodeID, mode: UInt32) throws(Errno) -> AttrOut {
        var argument = SetAttrIn()
        argument.valid = SetAttrValid.mode
        argument.mode = mode
        return try setattr(nodeID, argument)
    }

    package func chown(_ nodeID: NodeID, uid: UInt32, gid: UInt32) throws(Errno) -> AttrOut {
        var argument = SetAttrIn()
        argument.valid = SetAttrValid.uid | SetAttrValid.gid
        argument.uid = uid
        argument.gid = gid
        return try setattr(nodeID, argument)
    }

    /// STATX of the basic attributes and the birth time, as Linux asks.
    package func statx(_ nodeID: NodeID, handle: UInt64? = nil, mask: UInt32 = 0xfff) throws(Errno)
        -> StatxOut
    {
        var argument = StatxIn()
        if let handle {
            argument.getattrFlags = GetAttrIn.hasHandle
            argument.handle = handle
        }
        argument.mask = mask
        return try call(FuseRequest(.statx, nodeID, argument), returning: StatxOut.self)
    }

    package func access(_ nodeID: NodeID, mask: UInt32) throws(Errno) {
        var argument = AccessIn()
        argument.mask = mask
        try call(FuseRequest(.access, nodeID, argument))
    }

    package func statfs(_ nodeID: NodeID = .root) throws(Errno) -> StatFSOut {
        try call(FuseRequest(.statfs, nodeID), returning: StatFSOut.self)
    }

    package func syncfs(_ nodeID: NodeID = .root) throws(Errno) {
        try call(FuseRequest(.syncfs, nodeID, SyncFSIn()))
    }

    // MARK: Extended attributes

    package func setxattr(
        _ nodeID: NodeID, _ name: some Collection<UInt8>, _ value: some Collection<UInt8>, flags: UInt32 = 0,
        setxattrFlags: UInt32 = 0
    ) throws(Errno) {
        var argument = SetXattrIn()
        argument.size = UInt32(clamping: value.count)
        argument.flags = flags
        argument.setxattrFlags = setxattrFlags
        var request = FuseRequest(.setxattr, nodeID, argument)
        if agreedFlags & InitFlags.setxattrExtended == 0 {
            request.arguments = Array(request.arguments.prefix(8))
        }
        request.append(name: name)
        request.arguments += value
        try call(request)
    }

    /// The value; ERANGE when it is longer than `room`, which must not be 0.
    package func getxattr(
        _ nodeID: NodeID, _ name: some Collection<UInt8>, room: Int = 65536
    ) throws(Errno) -> [UInt8] {
        try call(xattrRequest(.getxattr, nodeID, name: name, room: room))
    }

    /// The length of the value.
    package func getxattrSize(_ nodeID: NodeID, _ name: some Collection<UInt8>) throws(Errno) -> Int {
        let request = xattrRequest(.getxattr, nodeID, name: name, room: 0)
        return Int(try call(request, returning: GetXattrOut.self).size)
    }

    /// The names, each with its NUL; ERANGE when they are longer than `room`, which must not be 0.
    package func listxattr(_ nodeID: NodeID, room: Int = 65536) throws(Errno) -> [UInt8] {
        try call(xattrRequest(.listxattr, nodeID, name: nil as [UInt8]?, room: room))
    }

    package func listxattrSize(_ nodeID: NodeID) throws(Errno) -> Int {
        let request = xattrRequest(.listxattr, nodeID, name: nil as [UInt8]?, room: 0)
        return Int(try call(request, returning: GetXattrOut.self).size)
    }

    package func removexattr(_ nodeID: NodeID, _ name: some Collection<UInt8>) throws(Errno) {
        var request = FuseRequest(.removexattr, nodeID)
        request.append(name: name)
        try call(request)
    }

    private func xattrRequest(
        _ opcode: Opcode, _ nodeID: NodeID, name: (some Collection<UInt8>)?, room: Int
    ) -> FuseRequest {
        var argument = GetXattrIn()
        argument.size = UInt32(clamping: room)
        var request = FuseRequest(opcode, nodeID, argument)
        if let name { request.append(name: name) }
        request.replyBodyByteCount = room
        return request
    }
}
