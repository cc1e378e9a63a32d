// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Virtqueue

extension Lane {
    /// Sends one request of our own and waits for its reply, while no worker uses the lane.
    ///
    /// - Parameters:
    ///   - message: header and arguments, which fit into a slot.
    ///   - connection: to the back-end; its end ends the wait.
    /// - Returns: the reply's body. What is sent shorter than `shape` says stays short.
    /// - Throws: what the back-end answers; EIO when that makes no sense; EPROTO when the ring is broken, ECONNRESET
    ///   when the back-end has gone, ETIMEDOUT.
    func exchange(
        _ message: UnsafeRawBufferPointer, unique: UInt64, shape: ReplyShape, until deadline: Deadline,
        connection: Int32
    ) throws(Errno) -> [UInt8] {
        guard let slot = take(for: LaneRequest(unique: unique, shape: shape)) else { throw .EAGAIN }
        unsafe write(message, in: slot)
        let header = MemoryLayout<OutHeader>.size
        let readable: InlineArray<1, GuestBuffer> = [requestPart(of: slot, byteCount: message.count)]
        let writable: InlineArray<1, GuestBuffer> = [replyPart(of: slot, byteCount: header + shape.room)]
        try submit(slot, readable: readable.span, writable: writable.span)
        let written = try wait(for: slot, until: deadline, connection)
        defer { release(slot) }

        var reply = OutHeader()
        unsafe withUnsafeMutableBytes(of: &reply) { unsafe readReply(in: slot, into: $0) }
        switch ReplyVerdict(header: reply, written: written, unique: unique, shape: shape) {
        case .failure(let error): throw Errno(rawValue: -error)
        case .broken: throw .EIO
        case .success(let count):
            var body = [UInt8](repeating: 0, count: count)
            var span = body.mutableSpan
            unsafe span.withUnsafeMutableBytes { unsafe readReplyBody(in: slot, into: $0) }
            return body
        }
    }

    /// Waits until the device has finished the chain of `slot`; gives others back that it finishes before.
    private func wait(
        for slot: Int, until deadline: Deadline, _ connection: Int32
    ) throws(Errno) -> Int {
        while true {
            var completions = InlineArray<1, Completion>(repeating: Completion())
            var span = completions.mutableSpan
            while try queue.collect(into: &span) == 1 {
                if Int(span[0].token) == slot { return span[0].written }
                release(Int(span[0].token))
            }
            if queue.armInterrupts() { continue }
            let ready = waitReadable(
                queue.callDescriptor, queue.errorDescriptor, orHangUpOf: connection,
                timeoutMilliseconds: deadline.remainingMilliseconds)
            queue.clearCall()
            if ready & 0b100 != 0 { throw .ECONNRESET }
            if ready & 0b010 != 0 { throw .EPROTO }
            if deadline.hasPassed { throw .ETIMEDOUT }
        }
    }
}
