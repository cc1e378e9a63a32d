// SPDX-License-Identifier: Apache-2.0
import Errors

/// The other end broke the vhost-user protocol, left, or asked for what cannot be done.
package enum VhostUserError: Error, Equatable, Sendable {
    // The stream can no longer be understood, or is gone: the connection ends.

    /// The peer closed the connection between two messages: an ordinary end.
    case disconnected
    /// The peer closed the connection inside a message.
    case truncatedMessage
    /// A message began and did not end, or an expected one did not come, in time.
    case timedOut
    /// The header's flags have another version than 1.
    case wrongVersion(flags: UInt32)
    /// The header announces more bytes than any message has.
    case payloadTooLarge(UInt32)
    /// More descriptors than any message carries.
    case tooManyDescriptors
    /// A reply where a request should be, or the reply to another request.
    case unexpectedMessage(request: UInt32, flags: UInt32)
    /// The socket itself failed.
    case system(Errno)

    // One request is refused; the stream is in order.

    /// The payload has the wrong number of bytes for its request.
    case payloadSize(Int)
    /// Too few or too many descriptors for this request.
    case descriptorCount(Int)
    /// A field holds what the specification forbids.
    case invalidValue
    /// The device has no such ring.
    case ringOutOfRange(UInt32)
    /// A request number we do not know, or do not offer.
    case notOffered(request: UInt32)
    /// The device could not do it.
    case refused(Errno)
    /// The peer answered our request with this failure code.
    case negativeReply(UInt64)
    /// The back-end has fewer request queues than wanted.
    case tooFewQueues(wanted: Int, offered: UInt64)
    /// The back-end does not offer VIRTIO_F_VERSION_1.
    case legacyDevice
    /// The back-end's configuration space has no name for the guest to mount.
    case noTag

    /// Nothing more can be read from or written to this connection.
    package var endsConnection: Bool {
        switch self {
        case .disconnected, .truncatedMessage, .timedOut, .wrongVersion, .payloadTooLarge,
            .tooManyDescriptors,
            .unexpectedMessage, .system:
            true
        case .payloadSize, .descriptorCount, .invalidValue, .ringOutOfRange, .notOffered, .refused,
            .negativeReply, .tooFewQueues, .legacyDevice, .noTag:
            false
        }
    }
}

extension VhostUserError: CustomStringConvertible {
    /// The reason as a log line's last part.
    package var description: String {
        switch self {
        case .disconnected: "the peer has disconnected"
        case .truncatedMessage: "the peer disconnected inside a message"
        case .timedOut: "the peer kept us waiting for a message"
        case .wrongVersion(let flags):
            "message flags 0x\(String(flags, radix: 16)) have another version than 1"
        case .payloadTooLarge(let size): "a message of \(size) bytes"
        case .tooManyDescriptors: "more than \(MemoryTable.maximumCount) descriptors in a message"
        case .unexpectedMessage(let request, let flags):
            "unexpected message \(request) with flags 0x\(String(flags, radix: 16))"
        case .system(let error): "the socket failed with error \(error.rawValue)"
        case .payloadSize(let size): "a payload of \(size) bytes"
        case .descriptorCount(let count): "a message with \(count) descriptors"
        case .invalidValue: "a field with a forbidden value"
        case .ringOutOfRange(let ring): "no ring \(ring)"
        case .notOffered(let request): "request \(request) is not offered"
        case .refused(let error): "failed with error \(error.rawValue)"
        case .negativeReply(let code): "the peer refused with code \(code)"
        case .tooFewQueues(let wanted, let offered):
            "the peer has \(offered) request queue\(offered == 1 ? "" : "s"), \(wanted) are wanted"
        case .legacyDevice: "the peer does not offer virtio 1 (VIRTIO_F_VERSION_1)"
        case .noTag: "the peer says no tag"
        }
    }
}
