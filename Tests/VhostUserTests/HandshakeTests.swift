// SPDX-License-Identifier: Apache-2.0
import HostOS
import MessageTools
import Testing

@testable import VhostUser

/// One request of a recorded conversation, byte for byte, and the one answer it must get.
struct Step {
    var request: UInt32
    var flags: UInt32 = 1
    var payload: [UInt8] = []
    var descriptors = 0
    /// The answer's payload; nil when there must be no answer.
    var answer: [UInt8]?

    /// A question.
    static func ask(_ request: UInt32, _ payload: [UInt8] = [], flags: UInt32 = 1, answer: [UInt8]) -> Step {
        Step(request: request, flags: flags, payload: payload, answer: answer)
    }
    /// A command without an acknowledgement.
    static func tell(_ request: UInt32, _ payload: [UInt8] = [], descriptors: Int = 0) -> Step {
        Step(request: request, payload: payload, descriptors: descriptors)
    }
    /// A command with NEED_REPLY.
    static func order(_ request: UInt32, _ payload: [UInt8] = [], descriptors: Int = 0) -> Step {
        Step(request: request, flags: 9, payload: payload, descriptors: descriptors, answer: le64(0))
    }
}

/// The handshakes of protocol.md §1.7 and §7, as these front-ends send them.
@Suite struct HandshakeTests {
    private let ring = { (index: UInt32, number: UInt32) in le32(index) + le32(number) }
    private let addresses = { (index: UInt32, base: UInt64) in
        le32(index) + le32(0) + le64(base) + le64(base + 0x2000) + le64(base + 0x1000) + le64(0)
    }
    private let ram = le64(0) + le64(0x2000_0000) + le64(0x7f00_0000_0000) + le64(0)
    private let rom = le64(0xe0000) + le64(0x20000) + le64(0x7f00_000e_0000) + le64(0xe0000)
    private let features = le64(0x1_5000_0000)

    private func run(_ steps: [Step], offering: UInt64) throws -> [String] {
        let device = FakeDevice(ProtocolFeatures(rawValue: offering))
        let bench = try SessionBench(device)
        let probe = try LeakProbe()
        for (index, step) in steps.enumerated() {
            let answer = try bench.exchange(
                step.request, step.payload, flags: step.flags,
                descriptors: [Int32](repeating: probe.number, count: step.descriptors))
            let expected = step.answer.map { header(step.request, 5, $0.count) + $0 } ?? []
            #expect(answer == expected, "step \(index), request \(step.request)")
        }
        bench.wire.hangUp()
        #expect(throws: VhostUserError.disconnected) { try bench.session.serveNext() }
        device.closeKept()
        #expect(probe.isClosedEverywhere())
        return device.takeCalls()
    }

    @Test func qemu11() throws {
        var steps: [Step] = [
            .ask(1, answer: features), .ask(15, answer: le64(0xa429)), .tell(16, le64(0xa429)),
            .ask(17, answer: le64(2)), .ask(36, answer: le64(509)), .order(21, descriptors: 1), .tell(3),
            .ask(1, answer: features),
        ]
        for i: UInt64 in 0...1 {
            steps += [.order(13, le64(i), descriptors: 1), .order(14, le64(i), descriptors: 1)]
        }
        for i: UInt64 in 0...1 { steps += [.order(13, le64(i), descriptors: 1)] }
        steps += [.tell(2, features), .order(37, le64(0) + ram, descriptors: 1)]
        for i: UInt32 in 0...1 {
            steps += [
                .tell(8, ring(i, 128)), .tell(10, ring(i, 0)), .tell(9, addresses(i, 0x7f00_1000_0000)),
                .order(12, le64(UInt64(i)), descriptors: 1), .order(13, le64(UInt64(i)), descriptors: 1),
            ]
        }
        for i: UInt32 in 0...1 { steps.append(.order(18, ring(i, 1))) }
        for i: UInt64 in 0...1 { steps.append(.order(13, le64(i), descriptors: 1)) }
        steps += [.order(38, le64(0) + ram), .order(37, le64(0) + ram, descriptors: 1)]
        for i: UInt32 in 0...1 { steps.append(.order(18, ring(i, 0))) }
        for i: UInt32 in 0...1 { steps.append(.ask(11, ring(i, 0), answer: ring(i, 0x1234))) }
        steps.append(.tell(34))
        let calls = try run(steps, offering: 0xa429)
        #expect(calls.count == steps.count - 5)  // the session itself answers 1, 15, 17, 36 and 1
        #expect(calls.prefix(4) == ["protocol a429", "channel fd", "owner", "call 0 fd"])
        #expect(calls.suffix(5) == ["disable 0", "disable 1", "stop 0", "stop 1", "reset"])
    }

    @Test func qemu11GenericDevice() throws {
        var steps: [Step] = [
            .ask(1, answer: features), .ask(15, answer: le64(0x8629)), .tell(16, le64(0x8629)),
            .ask(17, answer: le64(2)), .ask(36, answer: le64(509)), .order(21, descriptors: 1), .tell(3),
        ]
        let configuration = Array("share".utf8) + zeros(31) + le32(1)
        for _ in 0..<40 {
            let window = le32(0) + le32(40) + le32(0)
            steps.append(.ask(24, window + zeros(40), answer: window + configuration))
        }
        let calls = try run(steps, offering: 0x8629)
        #expect(
            calls == ["protocol 8629", "channel fd", "owner"] + [String](repeating: "read 0 40", count: 40))
    }

    @Test func qemu7() throws {
        var steps: [Step] = [
            .ask(1, answer: features), .ask(15, answer: le64(0x8429)), .tell(16, le64(0x8429)),
            .ask(17, answer: le64(2)), .ask(36, answer: le64(509)), .order(21, descriptors: 1), .tell(3),
            .ask(1, answer: features), .tell(13, le64(0), descriptors: 1), .tell(13, le64(1), descriptors: 1),
            .tell(2, features), .order(37, le64(0) + ram, descriptors: 1),
            .order(37, le64(0) + rom, descriptors: 1),
        ]
        for i: UInt32 in 0...1 {
            steps += [
                .tell(8, ring(i, 128)), .tell(10, ring(i, 0)), .tell(9, addresses(i, 0x7f00_1000_0000)),
                .tell(12, le64(UInt64(i)), descriptors: 1), .tell(13, le64(UInt64(i)), descriptors: 1),
            ]
        }
        steps += [
            .tell(18, ring(0, 1)), .tell(18, ring(1, 1)),
            .order(38, le64(0) + rom, descriptors: 1),  // the descriptor once more
            .tell(18, ring(0, 0)), .ask(11, ring(0, 0), answer: ring(0, 0x1234)),
            .ask(11, ring(1, 0), answer: ring(1, 0x1234)),
        ]
        let calls = try run(steps, offering: 0x8429)
        #expect(calls.contains("add e0000,20000,7f00000e0000,e0000 fd"))
        #expect(calls.contains("remove e0000,20000,7f00000e0000,e0000"))
        #expect(calls.suffix(2) == ["stop 0", "stop 1"])
    }

    @Test func cloudHypervisor() throws {
        var steps: [Step] = [
            .tell(3), .ask(1, answer: features), .ask(15, answer: le64(0xa629)), .tell(16, le64(0x8009)),
            .ask(17, answer: le64(2)), .order(2, features), .order(37, le64(0) + ram, descriptors: 1),
            .order(8, ring(0, 1024)), .order(8, ring(1, 1024)),
        ]
        for i: UInt32 in 0...1 {
            steps += [
                .order(9, addresses(i, 0x7f00_1000_0000)), .order(10, ring(i, 7)),
                .order(13, le64(UInt64(i)), descriptors: 1), .order(12, le64(UInt64(i)), descriptors: 1),
            ]
        }
        steps += [.order(18, ring(0, 1)), .order(18, ring(1, 1))]
        let calls = try run(steps, offering: 0xa629)
        #expect(calls.first == "owner")
        #expect(calls.suffix(5) == ["base 1 7", "call 1 fd", "kick 1 fd", "enable 0", "enable 1"])
    }

    @Test func crosvm() throws {
        let window = le32(0) + le32(40) + le32(0)
        var steps: [Step] = [
            .tell(3), .ask(1, answer: features), .ask(15, answer: le64(0xa629)), .tell(16, le64(0x0229)),
            .ask(17, answer: le64(2)), .order(21, descriptors: 1),
            .ask(24, window + zeros(40), answer: window + Array("share".utf8) + zeros(31) + le32(1)),
            .tell(2, features), .tell(5, le32(2) + le32(0) + ram + rom, descriptors: 2),
        ]
        for i: UInt32 in 0...1 {
            steps += [
                .tell(8, ring(i, 256)), .tell(9, addresses(i, 0x7f00_1000_0000)), .tell(10, ring(i, 0)),
                .tell(13, le64(UInt64(i)), descriptors: 1), .tell(12, le64(UInt64(i)), descriptors: 1),
                .tell(18, ring(i, 1)),
            ]
        }
        let calls = try run(steps, offering: 0xa629)
        #expect(calls.contains("table 0,20000000,7f0000000000,0:fd e0000,20000,7f00000e0000,e0000:fd"))
        #expect(calls.last == "enable 1")
    }

    @Test func userModeLinux() throws {
        let physical = le64(0x1000) + le64(0x1fff_f000) + le64(0x1000) + le64(0x1000)
        let window = le32(0) + le32(40) + le32(0)  // always from 0, up to what is wanted
        var steps: [Step] = [
            .tell(3), .ask(1, answer: features), .ask(15, answer: le64(0xa629)),
            .order(16, le64(0x0229)),  // asks for an acknowledgement by the feature that it acks
            .order(21, descriptors: 1), .ask(17, answer: le64(2)),
            .ask(24, window + zeros(40), answer: window + Array("share".utf8) + zeros(31) + le32(1)),
            .order(2, features),
            .order(5, le32(1) + le32(0) + physical + zeros(32), descriptors: 1),  // two slots, one region
        ]
        for i: UInt32 in 0...1 {
            steps += [
                .order(13, le64(UInt64(i)), descriptors: 1), .order(8, ring(i, 256)), .order(10, ring(i, 0)),
                .order(9, addresses(i, 0x10_0000)),
            ]
        }
        for i: UInt32 in 0...1 {
            steps += [.order(12, le64(UInt64(i)), descriptors: 1), .order(18, ring(i, 1))]
        }
        // The driver lets go: rings disabled backwards, then a question as a barrier; no GET_VRING_BASE.
        steps += [.order(18, ring(1, 0)), .order(18, ring(0, 0)), .ask(1, answer: features)]
        let calls = try run(steps, offering: 0xa629)
        #expect(calls.contains("table 1000,1ffff000,1000,1000:fd"))
        #expect(calls.suffix(2) == ["disable 1", "disable 0"])
    }
}
