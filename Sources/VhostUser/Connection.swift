// SPDX-License-Identifier: Apache-2.0
import Errors
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
    private let socket: MessageSocket
    /// How long a begun message may take to arrive or to leave, in milliseconds.
    private let messageTimeout: Int32

    /// Takes over a connected socket and makes it non-blocking.
    package init(adopting descriptor: consuming OwnedDescriptor, messageTimeout: Int32 = 1000) throws(Errno) {
        // The spec's limit for one message is a full memory table.
        socket = try MessageSocket(
            adopting: descriptor, maximumDescriptorCount: MemoryTable.maximumCount)
        self.messageTimeout = messageTimeout
    }

    /// For poll(2); reading from it by other means loses messages.
    package var descriptor: OwnedDescriptor { _read { yield socket.descriptor } }

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
        do throws(MessageFailure) {
            try socket.fill(&start, to: MessageHeader.byteCount, &descriptors, until: deadline)
        } catch {
            throw start.isEmpty && error == .ended ? .disconnected : VhostUserError(inMessage: error)
        }
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
        do throws(MessageFailure) {
            try socket.fill(&payload, to: count, &descriptors, until: deadline)
        } catch {
            throw VhostUserError(inMessage: error)
        }
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
        do throws(MessageFailure) {
            try socket.send(
                bytes, descriptors: descriptors, until: Deadline(milliseconds: messageTimeout))
        } catch {
            throw error == .ended ? .disconnected : VhostUserError(inMessage: error)
        }
    }
}

extension VhostUserError {
    /// What ended a message that had begun.
    fileprivate init(inMessage failure: MessageFailure) {
        self =
            switch failure {
            case .ended: .truncatedMessage
            case .timedOut: .timedOut
            case .tooManyDescriptors: .tooManyDescriptors
            case .system(let error): .system(error)
            }
    }
}

extension Listener {
    /// The next front-end that waits; nil when there is none. The same errors as `accept`.
    package func acceptConnection() throws(Errno) -> Connection? {
        guard let socket = try accept() else { return nil }
        return try Connection(adopting: socket)
    }
}
