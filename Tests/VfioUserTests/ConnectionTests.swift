// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import MessageTools
import Testing
import VfioClient

@testable import VfioUser

/// How a connection ends.
@Suite struct ConnectionTests {
    /// Disconnected after each number of bytes, with a descriptor on the first of them.
    @Test func disconnectAtEachByte() throws {
        let bytes = header(10, 18) + le64(0) + le32(7) + le32(2) + [1, 2]
        for count in 0..<bytes.count {
            let bench = try SessionBench()
            let probe = try LeakProbe()
            if count > 0 {
                try bench.client?.send(bytes: Array(bytes.prefix(count)), descriptors: [probe.number])
            }
            bench.hangUp()
            let expected: VfioError = count == 0 ? .disconnected : .truncatedMessage
            #expect(throws: expected) { try bench.session.serveOne() }
            #expect(bench.device.takeCalls() == [])
            #expect(probe.isClosedEverywhere())
        }
    }

    @Test(arguments: [1, 15, 16, 33]) func halfMessageTimesOut(count: Int) throws {
        let bytes = header(10, 18) + le64(0) + le32(7) + le32(2) + [1, 2]
        let bench = try SessionBench()
        let probe = try LeakProbe()
        try bench.client?.send(bytes: Array(bytes.prefix(count)), descriptors: [probe.number])
        #expect(throws: VfioError.timedOut) { try bench.session.serveOne() }
        #expect(probe.isClosedEverywhere())
    }

    @Test func messageInPieces() throws {
        let bytes = header(10, 18) + le64(0) + le32(7) + le32(2) + [1, 2]
        let device = FakeDevice()
        let (session, client) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (
                try VfioSession(adopting: ours, device: device, messageTimeout: 30_000),
                try VfioClient(adopting: theirs)
            )
        }
        client.afterSending = { try session.serveOne() }
        try client.version()
        let number = client.descriptor
        let sender = try Thread(name: "pieces") {
            for byte in bytes {
                _ = try? systemCall { [byte].withUnsafeBytes { write(number, $0.baseAddress, 1) } }
            }
        }
        try session.serveOne()
        sender.join()
        #expect(device.takeCalls() == ["write 7 0 [1, 2]"])
    }

    @Test(arguments: [0, 1, 15, 16 + 16 + 1 << 20 + 1, 0x7fff_ffff, 0x8000_0000, .max] as [UInt32])
    func impossibleSizes(size: UInt32) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let bytes = le16(1) + le16(13) + le32(size) + le32(0) + le32(0)
        try bench.client?.send(bytes: bytes, descriptors: [probe.number])
        #expect(throws: VfioError.messageSize(size)) { try bench.session.serveOne() }
        #expect(bench.answer() == [])
        #expect(probe.isClosedEverywhere())
    }

    /// An answer to it could be answered again.
    @Test(arguments: [1, 0x21, 0x11] as [UInt32]) func replyInsteadOfCommand(flags: UInt32) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        try bench.client?.send(bytes: header(13, flags: flags, 0), descriptors: [probe.number])
        #expect(throws: VfioError.unexpectedReply(command: 13)) { try bench.session.serveOne() }
        #expect(bench.answer() == [])
        #expect(probe.isClosedEverywhere())
    }

    @Test(arguments: [16, 17, 200]) func manyDescriptors(count: Int) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let numbers = [Int32](repeating: probe.number, count: count)
        if count <= 16 {
            #expect(
                try bench.exchange(header(13, 0), descriptors: numbers)
                    == header(13, flags: 0x21, error: 22, 0))
        } else {
            try bench.client?.send(bytes: header(13, 0), descriptors: numbers)
            #expect(throws: VfioError.tooManyDescriptors) { try bench.session.serveOne() }
        }
        #expect(probe.isClosedEverywhere())
    }

    /// Descriptors on each piece of one message add up.
    @Test func descriptorsOnEveryPiece() throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let bytes = header(10, 18) + le64(0) + le32(7) + le32(2)
        for byte in bytes.prefix(17) {
            try bench.client?.send(bytes: [byte], descriptors: [probe.number])
        }
        #expect(throws: VfioError.tooManyDescriptors) { try bench.session.serveOne() }
        #expect(probe.isClosedEverywhere())
    }

    @Test func clientThatDoesNotRead() throws {
        let bench = try SessionBench()
        let client = try #require(bench.client)
        let read = header(9, 16) + le64(0) + le32(3) + le32(1 << 20)
        #expect(throws: VfioError.timedOut) {
            for _ in 0..<100 {
                try client.send(bytes: read)
                try bench.session.serveOne()
            }
        }
    }

    @Test func clientThatHasGone() throws {
        let bench = try SessionBench()
        try bench.client?.send(bytes: header(13, 0))
        bench.hangUp()
        #expect(throws: VfioError.disconnected) { try bench.session.serveOne() }
        #expect(bench.device.takeCalls() == ["reset"])
        #expect(throws: VfioError.disconnected) { try bench.session.serveOne() }
    }

    @Test func reasons() {
        let errors: [VfioError] = [
            .disconnected, .truncatedMessage, .timedOut, .messageSize(3), .tooManyDescriptors,
            .unexpectedReply(command: 13), .system(.EMFILE),
        ]
        let texts = errors.map(\.description)
        #expect(Set(texts).count == errors.count)
        #expect(texts[3] == "a message of 3 bytes")
        #expect(texts[4] == "more than 16 descriptors in a message")
        #expect(texts[5] == "a reply to command 13, which was not sent")
        #expect(texts[6] == "the socket failed with error 24")
    }
}
