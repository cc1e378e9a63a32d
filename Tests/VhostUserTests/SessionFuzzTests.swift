// SPDX-License-Identifier: Apache-2.0
import HostOS
import MessageTools
import Testing

@testable import VhostUser

@Suite struct SessionFuzzTests {
    /// Requests of random number, flags, size and content, with random descriptors: every one is answered, ignored or
    /// ends the connection, and no descriptor outlives it.
    @Test(arguments: 0..<4) func randomMessages(_: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let probe = try LeakProbe()
        let device = FakeDevice()
        var bench = try SessionBench(device)
        for round in 0..<5000 {
            var payload = zeros(random.pick([0, 0, 7, 8, 8, 8, 16, 40, 40, 72, 300]))
            for _ in 0..<min(payload.count, 4) {
                payload[random.below(payload.count)] = random.pick([0, 1, 2, 8, 64, 127, 255])
            }
            let flags: UInt32 = random.below(10) == 0 ? UInt32(random.below(16)) : 9
            do {
                _ = try bench.exchange(
                    UInt32(random.below(48)), payload, flags: flags,
                    descriptors: [Int32](repeating: probe.number, count: random.pick([0, 0, 1, 1, 2, 8])))
            } catch is VhostUserError {
                bench = try SessionBench(device)
            }
            if round % 50 == 0 { device.closeKept() }
            _ = device.takeCalls()
        }
        bench = try SessionBench(FakeDevice())
        device.closeKept()
        #expect(probe.isClosedEverywhere(), "seed \(seed)")
    }

    /// Bytes without any order: the session ends by an error, never by a trap or a hang.
    @Test func randomBytes() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let device = FakeDevice()
        for _ in 0..<2000 {
            let bench = try SessionBench(device)
            var bytes = zeros(1 + random.below(64))
            // Often a header that is right so far, so that what follows it is looked at.
            if random.below(4) != 0 { for i in stride(from: 4, to: bytes.count, by: 12) { bytes[i] = 9 } }
            for _ in 0..<random.below(6) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            try bench.wire.send(bytes)
            bench.wire.hangUp()
            var ending: VhostUserError?
            for _ in bytes where ending == nil {
                do throws(VhostUserError) { try bench.session.serveNext() } catch { ending = error }
            }
            if ending == nil { Issue.record("seed \(seed): \(bytes)") }
            device.closeKept()
        }
    }
}
