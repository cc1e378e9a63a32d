// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS

/// The guest's file system driver, reduced to its messages: makes FUSE requests, sends them through a device's queues and
/// checks the replies as Linux does. One thread uses it.
package final class FuseClient {
    package let frontend: DeviceFrontend
    /// Who asks, in every request.
    package var uid: UInt32 = 0
    package var gid: UInt32 = 0
    package var pid: UInt32 = 1
    /// Which queue takes requests, from 1 on; FORGET always goes to queue 0.
    package var queue = 1
    /// Takes the next queue for each request, as the requests of several CPUs do.
    package var rotatesQueues = false
    /// How long to wait for a reply, in milliseconds.
    package var timeout: Int32 = 30_000
    /// What INIT agreed on, `flags2` in the high half.
    package internal(set) var agreedFlags: UInt64 = 0
    private var nextUnique: UInt64 = 2

    package init(_ frontend: DeviceFrontend) { self.frontend = frontend }

    /// A request on its way.
    package struct Pending: Sendable {
        package let unique: UInt64
        package let queue: Int
        let ticket: Ticket
        let hasReply: Bool
    }

    /// A reply as it came, checked for its frame only.
    package struct Reply: Sendable {
        package let header: OutHeader
        package let body: [UInt8]
    }

    /// The next request's name (`unique`), which nobody else uses; even, as Linux has it.
    package func makeUnique() -> UInt64 {
        defer { nextUnique += 2 }
        return nextUnique
    }

    // MARK: Sending

    /// Sends `request` with our ids, a fresh `unique` and right lengths.
    package func submit(_ request: FuseRequest, queue number: Int? = nil) throws(Errno) -> Pending {
        var request = request
        request.header.uid = uid
        request.header.gid = gid
        request.header.pid = pid
        request.header.unique = makeUnique()
        request.setLengths()
        if rotatesQueues, number == nil { queue = queue % (frontend.queues.count - 1) + 1 }
        return try submit(exactly: request, queue: number)
    }

    /// Sends `request` with the header that it has.
    package func submit(exactly request: FuseRequest, queue number: Int? = nil) throws(Errno) -> Pending {
        let target = number ?? queue
        let ticket = try frontend.queues[target].submit(request.message)
        return Pending(
            unique: request.header.unique, queue: target, ticket: ticket,
            hasReply: request.replyBodyByteCount != nil)
    }

    /// Waits for the answer to a request.
    ///
    /// - Throws: EPROTO when the reply is none that Linux would accept (fs/fuse/virtio_fs.c: the used length and the
    ///   header's agree, the `unique` is ours, the error is one, an error has no body), and what `RequestQueue.wait` throws.
    package func receive(_ pending: Pending) throws(Errno) -> Reply {
        let completed = try frontend.queues[pending.queue].wait(
            for: pending.ticket, until: Deadline(milliseconds: timeout))
        guard pending.hasReply else {
            guard completed.written == 0 else { throw .EPROTO }
            return Reply(header: OutHeader(), body: [])
        }
        guard let header = wireValue(OutHeader.self, from: completed.reply),
            Int(header.length) == completed.written,
            header.unique == pending.unique, (-511...0).contains(header.error),
            header.error == 0 || header.length == MemoryLayout<OutHeader>.size
        else { throw .EPROTO }
        return Reply(header: header, body: Array(completed.reply.dropFirst(MemoryLayout<OutHeader>.size)))
    }

    /// Sends a request and returns the body of its reply, or throws the error that it carries.
    @discardableResult
    package func call(_ request: FuseRequest) throws(Errno) -> [UInt8] {
        let reply = try receive(try submit(request))
        if reply.header.error != 0 { throw Errno(rawValue: -reply.header.error) }
        return reply.body
    }

    /// Sends a request whose reply has a fixed size. A shorter or longer body is EPROTO.
    package func call<T: BitwiseCopyable>(_ request: FuseRequest, returning type: T.Type) throws(Errno) -> T {
        var request = request
        request.replyBodyByteCount = MemoryLayout<T>.size
        let body = try call(request)
        guard body.count == MemoryLayout<T>.size, let value = wireValue(type, from: body) else {
            throw .EPROTO
        }
        return value
    }

    // MARK: Session

    /// INIT with the flags that Linux 7.2 offers on virtiofs, or others. `minor` below 36 sends the short form.
    package func initialize(
        minor: UInt32 = ProtocolVersion.minor, flags: UInt64 = FuseClient.linuxFlags,
        maxReadahead: UInt32 = 131072
    ) throws(Errno) -> InitOut {
        var request = FuseRequest(.initialize, NodeID(rawValue: 0))
        var argument = InitIn()
        argument.major = ProtocolVersion.major
        argument.minor = minor
        argument.maxReadahead = maxReadahead
        argument.flags = UInt32(truncatingIfNeeded: flags)
        argument.flags2 = UInt32(truncatingIfNeeded: flags >> 32)
        request.append(argument)
        if minor < 36 { request.arguments = Array(request.arguments.prefix(InitIn.shortByteCount)) }
        let reply = try call(request, returning: InitOut.self)
        agreedFlags = UInt64(reply.flags) | UInt64(reply.flags2) << 32
        return reply
    }

    /// What Linux 7.2 offers, with `minor` 45, on a virtiofs mount without a DAX window (fs/fuse/inode.c fuse_new_init).
    package static let linuxFlags: UInt64 =
        0x7bff_ffff & ~InitFlags.fileOps & ~InitFlags.mapAlignment
        | InitFlags.securityContext | InitFlags.createSupplementaryGroup | InitFlags.hasExpireOnly
        | InitFlags.directIOAllowMmap | InitFlags.noExportSupport | InitFlags.hasResend | InitFlags.allowIdmap
        | InitFlags.requestTimeout

    package func destroy() throws(Errno) { try call(FuseRequest(.destroy, NodeID(rawValue: 0))) }

    /// FORGET, on the hiprio queue; returns when the device has seen it.
    package func forget(_ nodeID: NodeID, count: UInt64 = 1) throws(Errno) {
        _ = try receive(try submit(Self.forgetRequest(nodeID, count: count), queue: 0))
    }

    package static func forgetRequest(_ nodeID: NodeID, count: UInt64) -> FuseRequest {
        var argument = ForgetIn()
        argument.count = count
        var request = FuseRequest(.forget, nodeID, argument)
        request.replyBodyByteCount = nil
        return request
    }

    package func batchForget(_ items: [(nodeID: NodeID, count: UInt64)]) throws(Errno) {
        var argument = BatchForgetIn()
        argument.count = UInt32(clamping: items.count)
        var request = FuseRequest(.batchForget, NodeID(rawValue: 0), argument)
        for item in items {
            var one = ForgetOne()
            one.nodeID = item.nodeID.rawValue
            one.count = item.count
            request.append(one)
        }
        request.replyBodyByteCount = nil
        _ = try receive(try submit(request))
    }
}
