// SPDX-License-Identifier: Apache-2.0
import HostOS
import MessageTools
import Testing
import VfioClient

@testable import VfioUser

@Suite struct SessionFuzzTests {
    /// Commands of random number, flags, size and content, with random descriptors: every one is answered as it asks, or ends the
    /// connection; no descriptor outlives it.
    @Test(arguments: 0..<4) func randomMessages(_: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let probe = try LeakProbe()
        let device = FakeDevice()
        var bench = try SessionBench(device)
        for round in 0..<5000 {
            var payload = zeros(random.pick([0, 16, 16, 18, 20, 20, 24, 32, 32, 32, 56, 300]))
            if payload.count >= 4 { payload[0] = UInt8(payload.count & 255) }
            for _ in 0..<min(payload.count, random.below(5)) {
                payload[random.below(payload.count)] = random.pick([0, 1, 2, 3, 7, 16, 32, 33, 36, 127, 255])
            }
            let command = UInt16(random.below(20))
            let flags: UInt32 = random.below(8) == 0 ? UInt32(random.below(64)) : 0
            let bytes = header(command, flags: flags, payload.count) + payload
            let numbers = [Int32](repeating: probe.number, count: random.pick([0, 0, 0, 1, 1, 2, 16]))
            do {
                let answer = try bench.exchange(bytes, descriptors: numbers)
                let isOnlyOne = try isWhole(answer, command)
                #expect(isOnlyOne == (flags & 0x10 == 0), "seed \(seed), round \(round): \(bytes)")
            } catch is VfioError {
                bench = try SessionBench(device)
            }
            if round % 50 == 0 { device.closeKept() }
            _ = device.takeCalls()
        }
        bench = try SessionBench(FakeDevice())
        device.closeKept()
        #expect(probe.isClosedEverywhere(), "seed \(seed)")
    }

    /// One reply to `command` (true) or nothing (false).
    private func isWhole(_ answer: [UInt8], _ command: UInt16) throws -> Bool {
        if answer.isEmpty { return false }
        let header = try MessageHeader(decoding: Array(answer.prefix(16)))
        #expect(header.command == command)
        #expect(header.id == 7)
        #expect(header.flags == .reply || header.flags == [.reply, .error])
        #expect(Int(header.messageByteCount) == answer.count)
        return true
    }

    /// Bytes without any order: the session ends by an error, never by a trap or a hang.
    @Test func randomBytes() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let device = FakeDevice()
        for _ in 0..<2000 {
            let bench = try SessionBench(device, negotiated: random.below(4) != 0)
            var bytes = zeros(1 + random.below(96))
            // Often headers that are right so far, so that what follows is looked at.
            if random.below(4) != 0 {
                for (place, value): (Int, UInt8) in [(2, 9), (4, 32), (34, 13), (36, 16), (50, 5), (52, 48)]
                where place < bytes.count { bytes[place] = value }
            }
            for _ in 0..<random.below(6) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            try bench.client?.send(bytes: bytes)
            bench.hangUp()
            var ending: VfioError?
            for _ in bytes where ending == nil {
                do throws(VfioError) { try bench.session.serveOne() } catch { ending = error }
            }
            if ending == nil { Issue.record("seed \(seed): \(bytes)") }
            device.closeKept()
        }
    }
}
