// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

// Attributes of inodes, extended ones, and those of the whole file system.
extension FuseServer {
    func getattr(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: GetAttrIn = try request.last()
        try request.reserve(AttrOut.self)
        let handle = handle(arguments.handle, given: arguments.flags)
        return request.answer(
            try fileSystem.getattr(request.caller, nodeID: request.nodeID, handle: handle))
    }

    func setattr(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: SetAttrIn = try request.last()
        try request.reserve(AttrOut.self)
        return request.answer(try fileSystem.setattr(request.caller, nodeID: request.nodeID, arguments))
    }

    func statx(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: StatxIn = try request.last()
        try request.reserve(StatxOut.self)
        let handle = handle(arguments.handle, given: arguments.getattrFlags)
        return request.answer(
            try fileSystem.statx(request.caller, nodeID: request.nodeID, handle: handle, arguments))
    }

    private func handle(_ handle: UInt64, given flags: UInt32) -> HandleID? {
        flags & GetAttrIn.hasHandle == 0 ? nil : HandleID(rawValue: handle)
    }

    func access(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: AccessIn = try request.last()
        try fileSystem.access(request.caller, nodeID: request.nodeID, mask: arguments.mask)
        return .empty
    }

    func statfs(_ request: inout Request) throws(Errno) -> Answer {
        try request.end()
        try request.reserve(StatFSOut.self)
        return request.answer(try fileSystem.statfs(request.caller, nodeID: request.nodeID))
    }

    func syncfs(_ request: inout Request) throws(Errno) -> Answer {
        let _: SyncFSIn = try request.last()
        try fileSystem.syncfs(request.caller, nodeID: request.nodeID)
        return .empty
    }

    func setxattr(_ request: inout Request) throws(Errno) -> Answer {
        var arguments = SetXattrIn()
        if session.flags & InitFlags.setxattrExtended != 0 {
            arguments = try request.fixed()
        } else {
            // The shorter form is {size, flags}, as two words.
            let short: SIMD2<UInt32> = try request.fixed()
            (arguments.size, arguments.flags) = (short.x, short.y)
        }
        let name = try request.xattrName()
        guard arguments.size <= RequestReader.maximumXattrValueByteCount else {
            throw request.refuse(.longXattrValue)
        }
        let value = try unsafe request.rest(count: UInt64(arguments.size))
        try unsafe fileSystem.setxattr(
            request.caller, nodeID: request.nodeID, name: name, value: value, arguments)
        return .empty
    }

    func getxattr(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: GetXattrIn = try request.fixed()
        let name = try request.xattrName()
        try request.end()
        if arguments.size == 0 {
            try request.reserve(GetXattrOut.self)
            var nothing = request.replyBuffer(limit: 0)
            let size = try fileSystem.getxattr(
                request.caller, nodeID: request.nodeID, name: name, size: 0, sizeOnly: true, into: &nothing)
            return sizeAnswer(size, request)
        }
        var reply = xattrBuffer(arguments, request)
        _ = try fileSystem.getxattr(
            request.caller, nodeID: request.nodeID, name: name, size: reply.capacity, sizeOnly: false,
            into: &reply)
        return .body(reply.count)
    }

    func listxattr(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: GetXattrIn = try request.last()
        if arguments.size == 0 {
            try request.reserve(GetXattrOut.self)
            var nothing = request.replyBuffer(limit: 0)
            let size = try fileSystem.listxattr(
                request.caller, nodeID: request.nodeID, size: 0, sizeOnly: true, into: &nothing)
            return sizeAnswer(size, request)
        }
        var reply = xattrBuffer(arguments, request)
        _ = try fileSystem.listxattr(
            request.caller, nodeID: request.nodeID, size: reply.capacity, sizeOnly: false, into: &reply)
        return .body(reply.count)
    }

    private func sizeAnswer(_ size: Int, _ request: borrowing Request) -> Answer {
        var reply = GetXattrOut()
        reply.size = UInt32(clamping: size)
        return request.answer(reply)
    }

    /// Room for a value: no more than was asked for, than there is, and than a value may have.
    private func xattrBuffer(_ arguments: GetXattrIn, _ request: borrowing Request) -> ReplyBuffer {
        request.replyBuffer(limit: min(Int(arguments.size), RequestReader.maximumXattrValueByteCount))
    }

    func removexattr(_ request: inout Request) throws(Errno) -> Answer {
        let name = try request.xattrName()
        try request.end()
        try fileSystem.removexattr(request.caller, nodeID: request.nodeID, name: name)
        return .empty
    }
}
