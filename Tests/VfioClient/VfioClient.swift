// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VfioUser

/// The client's side of a vfio-user connection, as QEMU has it: one thread, one command after the other.
///
/// It says what it is told to, right or wrong. Somebody has to serve the other end: another thread, or `afterSending`.
package final class VfioClient {
    /// One reply.
    package struct Reply {
        package let header: MessageHeader
        package let payload: [UInt8]
        package var files: [OwnedFile] = []
    }

    /// A descriptor that came with a reply, closed with the last reference to it.
    package final class OwnedFile {
        package let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// What does not fit the command that it should answer.
    package struct UnexpectedReply: Error { package let header: MessageHeader }

    private let socket: MessageSocket
    /// How long a reply may take, in milliseconds.
    private let timeout: Int32
    private var lastID: UInt16 = 0
    /// Called when a command has been sent: a test in one thread serves it here.
    package var afterSending: (() throws -> Void)?

    /// Takes over a connected socket.
    package init(adopting socket: consuming OwnedDescriptor, timeout: Int32 = 10_000) throws(Errno) {
        self.socket = try MessageSocket(
            adopting: socket, maximumDescriptorCount: MessageHeader.maximumDescriptorCount)
        self.timeout = timeout
    }

    /// For poll(2).
    package var descriptor: Int32 { socket.descriptor.rawValue }

    // MARK: Raw messages

    /// Sends a command with a fresh id, which it returns.
    @discardableResult
    package func send(
        _ command: UInt16, _ payload: [UInt8] = [], flags: MessageFlags = [], descriptors: [Int32] = []
    ) throws(MessageFailure) -> UInt16 {
        lastID &+= 1
        var writer = ByteWriter(capacity: MessageHeader.byteCount + payload.count)
        MessageHeader(
            id: lastID, command: command,
            messageByteCount: UInt32(MessageHeader.byteCount + payload.count), flags: flags
        ).encode(into: &writer)
        writer.append(payload)
        try send(bytes: writer.bytes, descriptors: descriptors)
        return lastID
    }

    /// Sends `bytes` as they are.
    package func send(bytes: [UInt8], descriptors: [Int32] = []) throws(MessageFailure) {
        try socket.send(bytes, descriptors: descriptors, until: Deadline(milliseconds: timeout))
    }

    /// The next message of the server.
    package func receive() throws -> Reply {
        let deadline = Deadline(milliseconds: timeout)
        var descriptors = ReceivedDescriptors()
        var start: [UInt8] = []
        try socket.fill(&start, to: MessageHeader.byteCount, &descriptors, until: deadline)
        let header = try MessageHeader(decoding: start)
        guard header.messageByteCount >= UInt32(MessageHeader.byteCount),
            header.messageByteCount <= MessageHeader.maximumMessageByteCount
        else { throw UnexpectedReply(header: header) }
        var payload: [UInt8] = []
        try socket.fill(
            &payload, to: Int(header.messageByteCount) - MessageHeader.byteCount, &descriptors,
            until: deadline)
        var reply = Reply(header: header, payload: payload)
        while let descriptor = descriptors.takeFirst() { reply.files.append(OwnedFile(descriptor)) }
        return reply
    }

    /// Sends a command and waits for its reply.
    ///
    /// - Throws: the Errno of an error reply.
    package func exchange(
        _ command: Command, _ payload: [UInt8] = [], descriptors: [Int32] = []
    ) throws -> Reply {
        let id = try send(command.rawValue, payload, descriptors: descriptors)
        try afterSending?()
        let reply = try receive()
        let header = reply.header
        guard header.id == id, header.command == command.rawValue, header.flags.contains(.reply) else {
            throw UnexpectedReply(header: header)
        }
        if header.flags.contains(.error) {
            guard reply.payload.isEmpty, let code = Int32(exactly: header.error) else {
                throw UnexpectedReply(header: header)
            }
            throw Errno(rawValue: code)
        }
        return reply
    }
}
