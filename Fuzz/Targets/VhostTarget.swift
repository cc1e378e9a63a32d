// SPDX-License-Identifier: Apache-2.0
import Backend
import CLinux
import Errors
import FuseServer
import Glibc
import HostOS
import StateArena
import VhostUser

/// A front-end that says anything, to a whole device with its threads, from connecting to hanging up:
/// ```
/// u16 length; u8 guest memory[length]; then messages:
/// u8 request; u8 quirks; u8 descriptors: how many in the low half, the first of them in the high half; u8 length; u8 payload[length]
/// ```
/// Whatever is answered is a message, and with the front-end all its descriptors and memory go.
final class VhostTarget: FuzzTarget {
    private static let memoryByteCount = 1 << 16
    private static let messageLimit = 64

    private let countsDescriptors: Bool
    private let device: Device
    private let memory: OwnedDescriptor
    private let event: EventFD
    /// What messages can carry beside an event and memory, of every kind; ours to close.
    private let offered: [Int32]
    /// Everything that is made but once is there.
    private var isReady = false
    private var runs = 0

    private final class NullShare: FileSystemShare {
        func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem { NullFS() }
        func cancelWaiters() {}
        func disconnect() {}
    }

    init(countsDescriptors: Bool) throws {
        self.countsDescriptors = countsDescriptors
        ignoreBrokenPipes()
        device = try Device(
            configuration: DeviceConfiguration(tag: Array("fuzz".utf8), requestQueueCount: 2),
            share: NullShare(), arena: StateArena())
        memory = try makeSealedMemoryFile(name: "fuzz-guest", byteCount: Self.memoryByteCount)
        event = try EventFD()
        var pipe: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&pipe, O_CLOEXEC) }
        let nothing = try systemCall { open("/dev/null", O_RDWR | O_CLOEXEC) }
        let page = try makeSealedMemoryFile(name: "fuzz-guest", byteCount: 4096)
        offered = pipe + [nothing, page.release(), try makeUnixSocket().release()]
        // Sets up all that is made but once.
        for seed in Seeds.vhost { try seed.bytes.withUnsafeBytes(run) }
        isReady = true
    }

    deinit {
        device.shutDown()
        for number in offered { close(number) }
    }

    func run(_ input: UnsafeRawBufferPointer) throws {
        var input = FuzzInput(input)
        let content = input.take(Int(input.number(UInt16.self)))
        _ = pwrite(memory.rawValue, content.baseAddress, content.count, 0)
        event.signal()

        let free = try lowestFreeDescriptor()
        try converse(&input)
        // Only what is made once may be made now.
        if !isReady || !countsDescriptors { return }
        try demand(try lowestFreeDescriptor() == free, "\(descriptorText(free)) outlives its front-end")
        runs += 1
        // Slow, and nothing that shows in one run only.
        if runs % 64 == 0 { try checkMemory() }
    }

    /// A front-end connects, says what is left of `input`, and leaves.
    private func converse(_ input: inout FuzzInput) throws {
        let (ours, peer) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (try Connection(adopting: ours, messageTimeout: 100), try Connection(adopting: theirs))
        }
        let socket = peer.descriptor.rawValue
        let session = BackendSession(ours, delegate: device)
        let asked = send(&input, to: socket)
        shutdown(socket, Int32(SHUT_WR))
        var ended = false
        for _ in 0...asked.count where !ended {
            do throws(VhostUserError) { try session.serveNext() } catch { ended = true }
        }
        try demand(ended, "more messages were served than sent")
        device.disconnect()
        try checkAnswers(socket, asked)
    }

    /// Sends the messages of `input`, as far as the socket takes them. Returns their request numbers.
    private func send(_ input: inout FuzzInput, to socket: Int32) -> [UInt32] {
        let numbers = [event.descriptor.rawValue, memory.rawValue] + offered
        var asked: [UInt32] = []
        while !input.isEmpty, asked.count < Self.messageLimit {
            let request = UInt32(input.byte())
            let quirks = input.byte()
            let descriptors = input.byte()
            let payload = Array(input.take(Int(input.byte())))
            var message = FuzzBytes()
            message.append(request)
            // Version 1, or another; NEED_REPLY; REPLY.
            message.append(
                UInt32(quirks & 2 == 0 ? 1 : 2) | UInt32(quirks & 1) << 3 | UInt32(quirks & 4))
            message.append(UInt32(payload.count) &+ (quirks & 8 == 0 ? 0 : UInt32(request) &* 37))
            message.append(payload)
            let attached = (0..<Int(descriptors & 15)).map {
                numbers[(Int(descriptors >> 4) + $0) % numbers.count]
            }
            asked.append(request)
            guard attempt(message.bytes, attached, socket) else { break }
        }
        return asked
    }

    private func attempt(_ bytes: [UInt8], _ descriptors: [Int32], _ socket: Int32) -> Bool {
        let sent = bytes.withUnsafeBytes { bytes in
            descriptors.withUnsafeBufferPointer {
                vfs_send_fds(socket, bytes.baseAddress, bytes.count, $0.baseAddress, Int32($0.count))
            }
        }
        return sent == bytes.count
    }

    /// Answers are whole messages to requests that were asked, in their order.
    private func checkAnswers(_ socket: Int32, _ asked: [UInt32]) throws {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            if count <= 0 { break }
            bytes += chunk[..<count]
        }
        var questions = asked[...]
        while !bytes.isEmpty {
            try demand(bytes.count >= MessageHeader.byteCount, "an answer is cut")
            let header = try MessageHeader(decoding: Array(bytes.prefix(MessageHeader.byteCount)))
            try demand(header.flags == .answer, "an answer with the flags \(header.flags)")
            let size = MessageHeader.byteCount + Int(header.payloadByteCount)
            try demand(bytes.count >= size, "an answer is cut")
            guard let place = questions.firstIndex(of: header.request) else {
                throw Broken("an answer to \(header.request), which was not asked")
            }
            questions = questions[(place + 1)...]
            bytes.removeFirst(size)
        }
    }

    /// The front-end has gone: nothing keeps its memory mapped.
    private func checkMemory() throws {
        let deadline = Deadline(milliseconds: 2000)
        while try isMemoryMapped() {
            try demand(deadline.remainingMilliseconds > 0, "guest memory is mapped without a front-end")
            usleep(1000)
        }
    }

    private func isMemoryMapped() throws(Errno) -> Bool {
        let maps = OwnedDescriptor(
            adopting: try systemCall { open("/proc/self/maps", O_RDONLY | O_CLOEXEC) })
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = try systemCall { read(maps.rawValue, &chunk, chunk.count) }
            if count == 0 { break }
            text += chunk[..<count]
        }
        return String(decoding: text, as: UTF8.self).contains("memfd:fuzz-guest")
    }
}
