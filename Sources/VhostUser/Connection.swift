// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// One message as it came off the socket.
package struct Message: ~Copyable {
    package let header: MessageHeader
    package let payload: [UInt8]
    package var descriptors: ReceivedDescriptors
}

/// A connected Unix stream socket that speaks vhost-user messages, either end of either channel.
///
/// It keeps no state between messages, so one thread may receive while another sends. A peer can make it wait only
/// between messages: inside one, both directions end after `messageTimeout`.
package final class Connection: Sendable {
    /// For poll(2); reading from it by other means loses messages.
    package let descriptor: OwnedDescriptor
    /// How long a begun message may take to arrive or to leave, in milliseconds.
    private let messageTimeout: Int32

    /// The spec's limit for one message is a full memory table.
    private static let maximumDescriptorCount = MemoryTable.maximumCount

    /// Takes over a connected socket and makes it non-blocking.
    package init(adopting descriptor: consuming OwnedDescriptor, messageTimeout: Int32 = 1000) throws(Errno) {
        let number = descriptor.rawValue
        let flags = try systemCall { vfs_fcntl_int(number, F_GETFL, 0) }
        _ = try systemCall { vfs_fcntl_int(number, F_SETFL, flags | O_NONBLOCK) }
        self.descriptor = descriptor
        self.messageTimeout = messageTimeout
    }

    /// Receives the next message with its descriptors.
    ///
    /// - Parameter timeout: how long to wait for the message to begin, in milliseconds; negative waits for ever.
    /// - Throws: `disconnected` at the orderly end; every other error leaves the stream useless and has closed the
    ///   descriptors that came.
    package func receive(timeout: Int32 = -1) throws(VhostUserError) -> Message {
        guard waitReadable(descriptor.rawValue, until: Deadline(milliseconds: timeout)) else {
            throw .timedOut
        }
        let deadline = Deadline(milliseconds: messageTimeout)
        var descriptors = ReceivedDescriptors()
        var start: [UInt8] = []
        try fill(&start, to: MessageHeader.byteCount, &descriptors, deadline, atStart: .disconnected)
        let header = try MessageHeader(decoding: start)
        guard header.flags.version == MessageHeader.version else {
            throw .wrongVersion(flags: header.flags.rawValue)
        }
        guard let count = Int(exactly: header.payloadByteCount),
            count <= MessageHeader.maximumPayloadByteCount
        else {
            throw .payloadTooLarge(header.payloadByteCount)
        }
        var payload: [UInt8] = []
        try fill(&payload, to: count, &descriptors, deadline)
        return Message(header: header, payload: payload, descriptors: descriptors)
    }

    /// Sends one message; `descriptors` stay the caller's and may be closed when this returns.
    ///
    /// - Throws: `timedOut` when the peer does not read, `disconnected` when it has gone: the stream is useless then.
    package func send(
        request: UInt32, flags: MessageFlags, payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws(VhostUserError) {
        let size = UInt32(truncatingIfNeeded: payload.count)
        try send(
            MessageHeader(request: request, flags: flags, payloadByteCount: size).encoded + payload,
            descriptors: descriptors)
    }

    /// Sends `bytes` as they are, with `descriptors` attached to the first of them.
    package func send(_ bytes: [UInt8], descriptors: [Int32] = []) throws(VhostUserError) {
        let socket = descriptor.rawValue
        let deadline = Deadline(milliseconds: messageTimeout)
        var sent = 0
        while sent < bytes.count {
            let attached = sent == 0 ? descriptors : []
            let count: Int
            do throws(Errno) {
                count = try systemCall {
                    // SAFETY: both buffers outlive the call, and the counts are theirs; sent < bytes.count.
                    unsafe bytes.withUnsafeBytes { all in
                        unsafe attached.withUnsafeBufferPointer { numbers in
                            unsafe vfs_send_fds(
                                socket, all.baseAddress?.advanced(by: sent), all.count - sent,
                                numbers.baseAddress,
                                Int32(truncatingIfNeeded: numbers.count))
                        }
                    }
                }
            } catch .EAGAIN {
                if waitWritable(socket, until: deadline) { continue }
                throw .timedOut
            } catch {
                throw error == .EPIPE || error == .ECONNRESET ? .disconnected : .system(error)
            }
            sent += count
        }
    }

    /// Reads until `bytes` has `target` bytes; an end before the first of them is reported as `atStart`.
    private func fill(
        _ bytes: inout [UInt8], to target: Int, _ descriptors: inout ReceivedDescriptors,
        _ deadline: Deadline,
        atStart: VhostUserError = .truncatedMessage
    ) throws(VhostUserError) {
        while bytes.count < target {
            guard waitReadable(descriptor.rawValue, until: deadline) else { throw .timedOut }
            do throws(Errno) {
                let more = try receiveSome(upTo: target - bytes.count, &descriptors)
                if more.isEmpty { throw .ECONNRESET }
                bytes += more
            } catch .EAGAIN {
                continue
            } catch .ECONNRESET {
                throw bytes.isEmpty ? atStart : .truncatedMessage
            } catch {
                throw .system(error)
            }
            guard descriptors.count <= Self.maximumDescriptorCount else { throw .tooManyDescriptors }
        }
    }

    /// One recvmsg(2): some bytes, none at the end of the stream; what descriptors came are in `descriptors`, one more
    /// than allowed when the message had too many.
    private func receiveSome(
        upTo limit: Int, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno) -> [UInt8] {
        let socket = descriptor.rawValue
        var numbers = [Int32](repeating: -1, count: Self.maximumDescriptorCount + 1)
        var numberCount: Int32 = 0
        var truncated: Int32 = 0
        var bytes = [UInt8](repeating: 0, count: limit)
        let capacity = Int32(numbers.count)
        let count = try systemCall {
            // SAFETY: both buffers outlive the call, and the counts are theirs.
            unsafe bytes.withUnsafeMutableBytes { space in
                unsafe numbers.withUnsafeMutableBufferPointer { fds in
                    unsafe vfs_receive_fds(
                        socket, space.baseAddress, limit, 0, fds.baseAddress, capacity, &numberCount,
                        &truncated)
                }
            }
        }
        descriptors.adopt(numbers.prefix(Int(numberCount)))
        if truncated != 0, descriptors.count <= Self.maximumDescriptorCount { throw .EMFILE }  // ours ran out
        return Array(bytes.prefix(count))
    }
}
