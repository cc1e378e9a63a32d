// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire
import Testing

@Suite struct RequestCountsTests {
    @Test func everyRequestIsCountedOnce() {
        let harness = Harness(RecordingFS())
        #expect(harness.session.takeRequestSummary() == nil)
        harness.start()
        for _ in 0..<3 { harness.send(message(1, name("a"))) }
        harness.send(message(1, []))  // refused
        for opcode: UInt32 in [7, 63, 64, 4096] { harness.send(message(opcode, [])) }
        #expect(
            harness.session.takeRequestSummary()
                == "9 requests: lookup 4, unknown 4, initialize 1")
        #expect(harness.session.takeRequestSummary() == nil)
    }

    @Test func workersAreAddedUp() {
        let first = Harness(RecordingFS())
        let second = Harness(RecordingFS(), sharing: first.session)
        first.start()
        second.send(message(1, name("a")))
        #expect(first.session.takeRequestSummary() == "2 requests: lookup 1, initialize 1")
    }
}
