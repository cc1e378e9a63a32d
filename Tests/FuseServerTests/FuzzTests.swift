// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire
import Testing

/// SplitMix64: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// 50,000 messages that a hostile guest might make, in ten runs.
@Suite struct FuzzTests {
    @Test(arguments: 0..<10 as Range<UInt64>)
    func everyMessageGetsAValidReply(_ seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let harness = Harness(NullFS())
        harness.start()
        var answered = 0
        var succeeded = 0
        for _ in 0..<5000 {
            let bytes = Self.message(&random)
            let capacity = Self.capacity(&random)
            let reply = harness.send(bytes, capacity: capacity)
            let opcode = bytes.count >= 40 ? Opcode(rawValue: bytes.load(UInt32.self, at: 4)) : nil
            guard case .reply(let inScratch, let direct) = reply.outcome else {
                #expect(reply.outcome == .noReply, "NullFS defers nothing")
                #expect(capacity < 16 || opcode?.isSilent == true, "\(bytes)")
                continue
            }
            answered += 1
            if reply.error == 0 { succeeded += 1 }
            #expect(inScratch >= 16 && inScratch + direct <= capacity, "\(bytes)")
            #expect(Int(reply.header.length) == inScratch + direct, "\(bytes)")
            #expect(-511...0 ~= reply.error, "\(bytes)")
            #expect(reply.error == 0 || reply.header.length == 16, "\(bytes)")
            if bytes.count >= 16 {
                #expect(reply.header.unique == bytes.load(UInt64.self, at: 8), "\(bytes)")
            }
        }
        // The messages are neither all broken nor all good.
        #expect(answered > 3000)
        #expect(succeeded > 200)
        // A session may have been ended by a DESTROY; INIT always brings it back.
        #expect(harness.start().error == 0)
        #expect(harness.send(FuseServerTests.message(1, name("null"))).error == 0)
    }

    /// One in eight is noise; the others are valid requests with a few bytes changed, cut or added.
    static func message(_ random: inout SeededGenerator) -> [UInt8] {
        if random.next() % 8 == 0 {
            return (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        let others = [FuseServerTests.message(26, initBody()), FuseServerTests.message(38)]
        var bytes = (ValidRequest.all.map(\.bytes) + others).randomElement(using: &random) ?? []
        // Nodes and handles that NullFS knows, most of the time.
        if random.next() % 8 != 0 { bytes[16] = UInt8(random.next() % 5) }
        for _ in 0..<random.next() % 4 {
            let position = Int(random.next() % UInt64(bytes.count))
            bytes[position] =
                [0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())][Int(random.next() % 6)]
        }
        switch random.next() % 8 {
        case 0: bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count))))
        case 1: bytes += (0..<Int(random.next() % 64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        default: break
        }
        // Otherwise nearly everything would stop at the header's length.
        if random.next() % 4 != 0, bytes.count >= 4 {
            bytes.replaceSubrange(0..<4, with: u32(UInt32(bytes.count)))
        }
        return bytes
    }

    static func capacity(_ random: inout SeededGenerator) -> Int {
        switch random.next() % 8 {
        case 0: Int(random.next() % 16)
        case 1: 16 + Int(random.next() % 300)
        case 2: FuseServer.replyScratchByteCount + Int(random.next() % 4096)
        default: 16 + 4096
        }
    }
}
