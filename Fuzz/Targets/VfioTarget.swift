// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import VfioClient
import VfioUser

/// A vfio-user client that says anything, from connecting to hanging up:
/// ```
/// u8 manner: 1 = no greeting, 2 = the last byte is kept; then messages:
/// u8 command; u8 quirks; u8 descriptors: how many in the low half, the first of them in the high half; u8 length; u8 payload[length]
/// ```
/// The device behind the session gets only what it says it can take, whatever is to be answered is, once, and with the client all its
/// descriptors go.
final class VfioTarget: FuzzTarget {
    private static let messageLimit = 64

    private let countsDescriptors: Bool
    private let device: CheckingDevice
    /// What messages can carry, of every kind; ours to close.
    private let offered: [Int32]

    /// A message as it was sent.
    private struct Question {
        let id: UInt16
        let command: UInt16
        let wantsReply: Bool
        /// Its header says how many bytes it has.
        let isHonest: Bool
    }

    init(countsDescriptors: Bool) throws {
        self.countsDescriptors = countsDescriptors
        ignoreBrokenPipes()
        var pipe: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&pipe, O_CLOEXEC) }
        let nothing = try systemCall { open("/dev/null", O_RDWR | O_CLOEXEC) }
        let memory = try makeSealedMemoryFile(name: "fuzz-guest", byteCount: 1 << 16).release()
        let event = try systemCall { eventfd(0, Int32(EFD_CLOEXEC)) }
        offered = [event, memory] + pipe + [nothing, try makeUnixSocket().release()]
        device = CheckingDevice(file: memory)
    }

    deinit { for number in offered { close(number) } }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let free = try lowestFreeDescriptor()
        try converse(&input)
        device.forget()
        if let fault = device.takeFault() { throw Broken(fault) }
        if !countsDescriptors { return }
        try demand(try lowestFreeDescriptor() == free, "\(descriptorText(free)) outlives its client")
    }

    /// A client connects, says what `input` has, and leaves.
    private func converse(_ input: inout FuzzInput) throws {
        let (session, client) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (
                try VfioSession(adopting: ours, device: device, messageTimeout: 100),
                try VfioClient(adopting: theirs, timeout: 100)
            )
        }
        let questions = try send(&input, client)
        shutdown(client.descriptor, Int32(SHUT_WR))
        // Where one lies about its size, all behind it may be read as something else.
        let known = questions.firstIndex { !$0.isHonest } ?? questions.count
        // No message is shorter than a header; none is longer than the length of its payload can say.
        let most = questions.count * (MessageHeader.byteCount + 255) / MessageHeader.byteCount
        var served = 0
        while true {
            let silent = session.silentFailures
            do throws(VfioError) { try session.serveOne() } catch { break }
            try demand(served < most, "more messages were served than sent")
            let reply = try reply(client)
            try demand(
                reply == nil || session.silentFailures == silent, "what failed in silence was answered")
            if served < known { try check(reply, questions[served]) }
            served += 1
        }
    }

    /// Sends the messages of `input`, as far as the socket takes them.
    private func send(_ input: inout FuzzInput, _ client: VfioClient) throws -> [Question] {
        var questions: [Question] = []
        let manner = input.byte()
        if manner & 1 == 0 {
            let id = try client.send(Command.version.rawValue, [0, 0, 0, 0])
            questions.append(
                Question(id: id, command: Command.version.rawValue, wantsReply: true, isHonest: true))
        }
        while !input.isEmpty, questions.count < Self.messageLimit {
            let number = UInt16(input.byte())
            let quirks = input.byte()
            let descriptors = input.byte()
            let payload = Array(input.take(Int(input.byte())))
            let id = UInt16(questions.count) << 8 | number
            let command = quirks & 64 == 0 ? number : number | 0x100
            let isHonest = quirks & 8 == 0
            var bytes = FuzzBytes()
            bytes.append(id)
            bytes.append(command)
            bytes.append(
                UInt32(MessageHeader.byteCount + payload.count) &+ (isHonest ? 0 : UInt32(number) &* 37 &- 40)
            )
            // NO_REPLY; a type; bits without meaning.
            let noReply = quirks & 1 != 0
            bytes.append(UInt32(noReply ? 16 : 0) | UInt32(quirks >> 1 & 3) | UInt32(quirks & 0x30) << 8)
            bytes.append(UInt32(quirks & 32))
            bytes.append(payload)
            let attached = (0..<Int(descriptors & 15)).map {
                offered[(Int(descriptors >> 4) + $0) % offered.count]
            }
            let isCut = input.isEmpty && manner & 2 != 0
            let sent = isCut ? Array(bytes.bytes.dropLast()) : bytes.bytes
            do throws(MessageFailure) { try client.send(bytes: sent, descriptors: attached) } catch { break }
            questions.append(
                Question(id: id, command: command, wantsReply: !noReply, isHonest: isHonest && !isCut))
        }
        return questions
    }

    /// The reply that has come, if one has; it is whole, and makes sense by itself.
    private func reply(_ client: VfioClient) throws -> VfioClient.Reply? {
        guard waitReadable(client.descriptor, timeoutMilliseconds: 0) != 0 else { return nil }
        let reply = try client.receive()
        let header = reply.header
        try demand(
            waitReadable(client.descriptor, timeoutMilliseconds: 0) == 0,
            "two replies to command \(header.command)")
        if header.flags == [.reply, .error] {
            try demand(
                reply.payload.isEmpty && reply.files.isEmpty && header.error != 0,
                "an error reply to \(header.command) with \(reply.payload.count) bytes, error \(header.error)"
            )
        } else {
            try demand(
                header.flags == .reply && header.error == 0,
                "a reply to \(header.command) with the flags \(header.flags), error \(header.error)")
        }
        return reply
    }

    private func check(_ reply: VfioClient.Reply?, _ question: Question) throws(Broken) {
        let name = "command \(question.command)"
        try demand(
            (reply != nil) == question.wantsReply, "\(name) was answered or not, but it asked otherwise")
        guard let header = reply?.header else { return }
        try demand(
            header.id == question.id && header.command == question.command,
            "\(name), \(question.id), was answered as \(header.command), \(header.id)")
    }
}
