// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS

/// The requests that a mount makes or changes itself: INIT at its start, DESTROY at its end.
struct MountHandshake {
    let lane: Lane
    /// To the back-end.
    let connection: Int32
    /// The back-end's window is used.
    var withWindow = false
    /// Of the version table; nil: none is followed.
    var follower: Int?

    /// INIT of the kernel and its answer, both as `InitRewriting` says.
    ///
    /// - Parameter device: the mount's first channel.
    /// - Throws: ETIMEDOUT, what the back-end answers, EPROTO for another version of FUSE than 7.
    func initialize(_ device: Int32, until deadline: Deadline) throws(Errno) {
        guard waitReadable(device, until: deadline) else { throw .ETIMEDOUT }
        var request = InitMessage()
        let size = MemoryLayout<InitMessage>.size
        // The kernel gives a request to nobody who has no room for the smallest that there may be.
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = try systemCall { unsafe read(device, &buffer, buffer.count) }
        unsafe withUnsafeMutableBytes(of: &request) { unsafe $0.copyBytes(from: buffer[..<min(count, size)]) }
        guard request.header.opcode == Opcode.initialize.rawValue else { throw .EPROTO }
        request.header.length = UInt32(size)
        request.body = InitRewriting.request(request.body, withWindow: withWindow)
        request.body.follower = follower

        let shape = ReplyShape.fixed(MemoryLayout<InitOut>.size)
        let message = request
        let body = try unsafe withUnsafeBytes(of: message) { (bytes) throws(Errno) in
            try unsafe lane.exchange(
                bytes, unique: message.header.unique, shape: shape, until: deadline, connection: connection)
        }
        // An older back-end sends less of the struct.
        var reply = InitOut()
        unsafe withUnsafeMutableBytes(of: &reply) { unsafe $0.copyBytes(from: body) }
        guard reply.major == ProtocolVersion.major else { throw .EPROTO }
        if follower != nil, !reply.tellsSlots { throw .EOPNOTSUPP }
        reply.tellsSlots = false
        reply = InitRewriting.reply(
            reply, to: message.body, dataByteCount: BridgeMemory.dataByteCount)
        var answer = InitAnswer(header: OutHeader(), body: reply)
        answer.header.length = UInt32(MemoryLayout<InitAnswer>.size)
        answer.header.unique = message.header.unique
        _ = try systemCall { unsafe write(device, &answer, MemoryLayout<InitAnswer>.size) }
    }

    /// GETATTR of the root directory, which the kernel knows without asking.
    func rootAttributes(until deadline: Deadline) throws(Errno) -> AttrOut {
        var message = (InHeader(), GetAttrIn())
        message.0.length = UInt32(MemoryLayout<InHeader>.size + MemoryLayout<GetAttrIn>.size)
        message.0.opcode = Opcode.getattr.rawValue
        message.0.unique = Self.destroyUnique
        message.0.nodeID = 1
        let body = try unsafe withUnsafeBytes(of: &message) { (bytes) throws(Errno) in
            try unsafe lane.exchange(
                bytes, unique: Self.destroyUnique, shape: .fixed(MemoryLayout<AttrOut>.size), until: deadline,
                connection: connection)
        }
        var attributes = AttrOut()
        guard body.count == MemoryLayout<AttrOut>.size else { throw .EIO }
        unsafe withUnsafeMutableBytes(of: &attributes) { unsafe $0.copyBytes(from: body) }
        return attributes
    }

    /// DESTROY, which the kernel sends to no other /dev/fuse: the back-end drops what the mount made it keep.
    func destroy(until deadline: Deadline) throws(Errno) {
        var header = InHeader()
        header.length = UInt32(MemoryLayout<InHeader>.size)
        header.opcode = Opcode.destroy.rawValue
        header.unique = Self.destroyUnique
        _ = try unsafe withUnsafeBytes(of: header) { (bytes) throws(Errno) in
            try unsafe lane.exchange(
                bytes, unique: Self.destroyUnique, shape: .fixed(0), until: deadline, connection: connection)
        }
    }

    /// Even, as uniques are, and one that the kernel never gets to.
    private static let destroyUnique: UInt64 = 1 << 62
}

private struct InitMessage: BitwiseCopyable {
    var header = InHeader()
    var body = InitIn()
}

private struct InitAnswer: BitwiseCopyable {
    var header: OutHeader
    var body: InitOut
}
