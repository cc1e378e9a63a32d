// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools
import Testing

@testable import VhostUser

/// A session over a fake device, driven message by message in this thread.
final class SessionBench {
    let device: FakeDevice
    let session: BackendSession
    let wire: Wire

    init(_ device: FakeDevice = FakeDevice()) throws {
        self.device = device
        wire = try Wire(messageTimeout: 50)
        session = BackendSession(wire.connection, delegate: device)
    }

    /// Sends one request, lets the session serve it and returns all bytes that came back at once.
    func exchange(
        _ request: UInt32, _ payload: [UInt8] = [], flags: UInt32 = 1, descriptors: [Int32] = []
    ) throws -> [UInt8] {
        try wire.send(header(request, flags, payload.count) + payload, descriptors: descriptors)
        try session.serveNext()
        return answer()
    }

    func answer() -> [UInt8] {
        guard let peer = wire.peer, waitReadable(peer.descriptor.rawValue, timeoutMilliseconds: 0) != 0,
            let message = try? peer.receive(timeout: 1000)
        else { return [] }
        return message.header.encoded + message.payload
    }
}

@Suite struct BackendSessionTests {
    /// Requests with an answer of their own: the answer once, also where an acknowledgement is asked for.
    @Test(arguments: [1, 9] as [UInt32]) func questions(flags: UInt32) throws {
        let bench = try SessionBench()
        let replyTo = { (request: UInt32, body: [UInt8]) in header(request, 5, body.count) + body }
        #expect(try bench.exchange(1, flags: flags) == replyTo(1, le64(0x1_5000_0000)))
        #expect(try bench.exchange(15, flags: flags) == replyTo(15, le64(0x40a629)))
        #expect(try bench.exchange(17, flags: flags) == replyTo(17, le64(2)))
        #expect(try bench.exchange(36, flags: flags) == replyTo(36, le64(509)))
        #expect(
            try bench.exchange(11, le32(1) + le32(0), flags: flags) == replyTo(11, le32(1) + le32(0x1234)))
        let window = le32(36) + le32(4) + le32(0)
        #expect(try bench.exchange(24, window + zeros(4), flags: flags) == replyTo(24, window + le32(1)))
        #expect(bench.device.takeCalls() == ["stop 1", "read 36 4"])
    }

    /// Every request without an answer: none, or with NEED_REPLY a zero.
    @Test(arguments: [1, 9] as [UInt32]) func commands(flags: UInt32) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let region = le64(0x1000) + le64(0x2000) + le64(0x7000) + le64(0x3000)
        let cases: [(request: UInt32, payload: [UInt8], descriptors: Int, call: String)] = [
            (2, le64(0x1_4000_0000), 0, "features 140000000"),
            (3, [], 0, "owner"),
            (4, [], 0, "reset-owner"),
            (5, le32(1) + le32(0) + region, 1, "table 1000,2000,7000,3000:fd"),
            (
                5, le32(2) + le32(0) + region + region, 2,
                "table 1000,2000,7000,3000:fd 1000,2000,7000,3000:fd"
            ),
            (5, zeros(8), 0, "table "),
            (8, le32(1) + le32(128), 0, "size 1 128"),
            (8, le32(1) + le32(32768), 0, "size 1 32768"),
            (
                9, le32(1) + le32(0) + le64(0xa0) + le64(0xb0) + le64(0xc0) + le64(0), 0,
                "addresses 1 a0,c0,b0"
            ),
            (10, le32(0) + le32(65535), 0, "base 0 65535"),
            (12, le64(1), 1, "kick 1 fd"),
            (12, le64(0x101), 0, "kick 1 none"),
            (13, le64(0), 1, "call 0 fd"),
            (13, le64(0x100), 0, "call 0 none"),
            (14, le64(0), 1, "error 0 fd"),
            (14, le64(0x100), 0, "error 0 none"),
            (16, le64(0x9), 0, "protocol 9"),
            (18, le32(1) + le32(1), 0, "enable 1"),
            (18, le32(0) + le32(0), 0, "disable 0"),
            (21, [], 1, "channel fd"),
            (25, le32(4) + le32(2) + le32(0) + [7, 8], 0, "write 4 [7, 8]"),
            (34, [], 0, "reset"),
            (37, le64(0) + region, 1, "add 1000,2000,7000,3000 fd"),
            (38, le64(0) + region, 0, "remove 1000,2000,7000,3000"),
            (38, le64(0) + region, 1, "remove 1000,2000,7000,3000"),
        ]
        for (request, payload, descriptors, call) in cases {
            let answer = try bench.exchange(
                request, payload, flags: flags,
                descriptors: [Int32](repeating: probe.number, count: descriptors))
            #expect(answer == (flags == 9 ? header(request, 5, 8) + le64(0) : []), "request \(request)")
            #expect(bench.device.takeCalls() == [call])
        }
        bench.device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    /// Without bit 30 there is no SET_VRING_ENABLE, so all rings are enabled at once.
    @Test func featuresWithoutExtensionsEnableTheRings() throws {
        let bench = try SessionBench()
        #expect(try bench.exchange(2, le64(1 << 32)) == [])
        #expect(bench.device.takeCalls() == ["features 100000000", "enable 0", "enable 1"])
    }

    @Test func needReplyIsIgnoredWhereNotOffered() throws {
        let bench = try SessionBench(FakeDevice([.multiqueue]))
        #expect(try bench.exchange(3, flags: 9) == [])
        #expect(bench.device.takeCalls() == ["owner"])
    }

    static let malformed: [(request: UInt32, payload: [UInt8], descriptors: Int, error: VhostUserError)] = [
        (1, [0], 0, .payloadSize(1)),
        (1, [], 1, .descriptorCount(1)),
        (2, le32(0), 0, .payloadSize(4)),
        (2, le64(1 << 26), 0, .invalidValue),  // LOG_ALL was not offered
        (3, le64(0), 0, .payloadSize(8)),
        (5, zeros(7), 0, .payloadSize(7)),
        (5, le32(1) + le32(0) + zeros(32), 1, .invalidValue),  // an empty region
        (5, le32(1) + le32(0) + le64(0) + le64(4096) + zeros(16), 0, .descriptorCount(0)),
        (5, le32(1) + le32(0) + le64(0) + le64(4096) + zeros(16), 2, .descriptorCount(2)),
        (5, le32(1) + le32(0) + le64(.max) + le64(4096) + zeros(16), 1, .invalidValue),  // wraps around
        (8, le32(2) + le32(64), 0, .ringOutOfRange(2)),
        (8, le32(.max) + le32(64), 0, .ringOutOfRange(.max)),
        (8, le32(0) + le32(0), 0, .invalidValue),
        (8, le32(0) + le32(100), 0, .invalidValue),  // not a power of two
        (8, le32(0) + le32(65536), 0, .invalidValue),
        (8, le32(0) + le32(64), 1, .descriptorCount(1)),
        (9, zeros(39), 0, .payloadSize(39)),
        (9, le32(2) + zeros(36), 0, .ringOutOfRange(2)),
        (9, le32(0) + le32(1) + zeros(32), 0, .invalidValue),  // logging was not offered
        (10, le32(0) + le32(65536), 0, .invalidValue),
        (12, le64(0), 0, .descriptorCount(0)),
        (12, le64(0x100), 1, .descriptorCount(1)),
        (12, le64(0), 2, .descriptorCount(2)),
        (13, le64(2), 1, .ringOutOfRange(2)),
        (14, le64(0x200), 1, .invalidValue),
        (16, le64(0x20_0000), 0, .invalidValue),  // GPA_ADDRESSES was not offered
        (18, le32(0) + le32(2), 0, .invalidValue),
        (18, le32(7) + le32(1), 0, .ringOutOfRange(7)),
        (21, [], 0, .descriptorCount(0)),
        (21, [], 2, .descriptorCount(2)),
        (25, zeros(11), 0, .payloadSize(11)),
        (25, le32(0) + le32(5) + le32(0) + zeros(4), 0, .payloadSize(16)),
        (37, le64(0) + zeros(32), 1, .invalidValue),
        (37, zeros(40), 0, .descriptorCount(0)),
        (37, zeros(32), 1, .payloadSize(32)),
        (38, zeros(40), 0, .invalidValue),
        (38, zeros(40), 2, .descriptorCount(2)),
    ]

    /// With NEED_REPLY a malformed request gets a one and the next request works.
    @Test func malformedRequestsAreRefused() throws {
        for (request, payload, descriptors, error) in Self.malformed {
            let bench = try SessionBench()
            let probe = try LeakProbe()
            let numbers = [Int32](repeating: probe.number, count: descriptors)
            let answer = try bench.exchange(request, payload, flags: 9, descriptors: numbers)
            #expect(answer == header(request, 5, 8) + le64(1), "request \(request)")
            #expect(bench.device.takeCalls() == ["refused \(request) \(error)"])
            #expect(probe.isClosedEverywhere())
            #expect(try bench.exchange(17) == header(17, 5, 8) + le64(2))
        }
    }

    /// Without it the two ends would disagree about the device, so the connection ends.
    @Test func malformedRequestsEndTheConnection() throws {
        for (request, payload, descriptors, error) in Self.malformed {
            let bench = try SessionBench()
            let probe = try LeakProbe()
            let numbers = [Int32](repeating: probe.number, count: descriptors)
            #expect(throws: error) { try bench.exchange(request, payload, descriptors: numbers) }
            #expect(bench.device.takeCalls() == ["refused \(request) \(error)"])
            #expect(bench.answer() == [])
            #expect(probe.isClosedEverywhere())
        }
    }

    /// Numbers that nobody knows and requests that we do not offer; their descriptors are closed.
    @Test(arguments: [0, 6, 7, 19, 20, 22, 23, 26, 28, 29, 32, 33, 35, 39, 45, 1002, .max] as [UInt32])
    func unknownRequests(request: UInt32) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let numbers = [Int32](repeating: probe.number, count: 3)
        #expect(
            try bench.exchange(request, zeros(5), flags: 9, descriptors: numbers) == header(request, 5, 8)
                + le64(1))
        if FrontendRequest(rawValue: request)?.hasReplyBody != true {
            #expect(try bench.exchange(request, zeros(5), descriptors: numbers) == [])
            #expect(try bench.exchange(3) == [])
            // Told once, not each time.
            #expect(
                bench.device.takeCalls() == [
                    "refused \(request) \(VhostUserError.notOffered(request: request))", "owner",
                ])
        }
        #expect(probe.isClosedEverywhere())
    }

    /// A question that we do not offer: silence would leave the peer waiting for ever.
    @Test(arguments: [31, 40, 41, 42, 43] as [UInt32]) func unofferedQuestions(request: UInt32) throws {
        let bench = try SessionBench()
        #expect(try bench.exchange(request, flags: 9) == header(request, 5, 8) + le64(1))
        #expect(throws: VhostUserError.notOffered(request: request)) { try bench.exchange(request) }
    }

    @Test func unofferedFeatureGuardsItsRequests() throws {
        let bench = try SessionBench(FakeDevice([.replyAck]))
        for request: UInt32 in [17, 21, 25, 34, 36, 37, 38] {
            #expect(try bench.exchange(request, flags: 9) == header(request, 5, 8) + le64(1))
        }
        // GET_CONFIG says no by an empty answer, with or without an acknowledgement asked for.
        for flags: UInt32 in [1, 9] { #expect(try bench.exchange(24, flags: flags) == header(24, 5, 0)) }
    }

    @Test func failedGetConfigurationIsAnEmptyAnswer() throws {
        let bench = try SessionBench()
        let questions = [
            le32(36) + le32(5) + le32(0) + zeros(5),  // beyond the space
            le32(.max) + le32(4) + le32(0) + zeros(4),
            le32(0) + le32(4) + le32(0) + zeros(3),  // size and payload differ
            [],
        ]
        for question in questions {
            #expect(try bench.exchange(24, question) == header(24, 5, 0))
            #expect(try bench.exchange(24, question, flags: 9) == header(24, 5, 0))
        }
    }

    @Test func delegateThatFails() throws {
        let device = FakeDevice()
        device.failing = ["owner", "stop", "add"]
        let bench = try SessionBench(device)
        let probe = try LeakProbe()
        #expect(try bench.exchange(3, flags: 9) == header(3, 5, 8) + le64(1))
        let region = le64(0) + le64(0) + le64(4096) + zeros(16)
        #expect(
            try bench.exchange(37, region, flags: 9, descriptors: [probe.number]) == header(37, 5, 8)
                + le64(1))
        #expect(throws: VhostUserError.refused(.EINVAL)) { try bench.exchange(11, zeros(8)) }
        device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    @Test func replyInsteadOfRequest() throws {
        let bench = try SessionBench()
        #expect(throws: VhostUserError.unexpectedMessage(request: 3, flags: 5)) {
            try bench.exchange(3, flags: 5)
        }
        #expect(bench.device.takeCalls() == [])
    }

    @Test func framingErrorsEndTheConnection() throws {
        let bench = try SessionBench()
        #expect(throws: VhostUserError.wrongVersion(flags: 2)) { try bench.exchange(3, flags: 2) }
        let second = try SessionBench()
        try second.wire.send(le32(3) + le32(9) + le32(.max))
        #expect(throws: VhostUserError.payloadTooLarge(.max)) { try second.session.serveNext() }
        #expect(second.answer() == [])
        let third = try SessionBench()
        third.wire.hangUp()
        #expect(throws: VhostUserError.disconnected) { try third.session.serveNext() }
    }
}
