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

    /// A READ that a `DeferralSource` takes counts when it is answered, wherever that is.
    @Test func aReadThatIsTakenIsCountedOnce() {
        let fileSystem = RecordingFS()
        let harness = Harness(fileSystem)
        harness.start()
        fileSystem.error = .mustWait
        #expect(harness.send(message(15, raw(ReadIn()))).outcome == .mustWait)
        #expect(harness.session.takeRequestSummary() == "1 requests: initialize 1")
        let header = harness.server.replyToRead(Unique(rawValue: 9), count: 4096)
        #expect(header.length == 16 + 4096 && header.error == 0 && header.unique == 9)
        #expect(harness.session.takeRequestSummary() == "1 requests: read 1")
    }

    @Test func workersAreAddedUp() {
        let first = Harness(RecordingFS())
        let second = Harness(RecordingFS(), sharing: first.session)
        first.start()
        second.send(message(1, name("a")))
        #expect(first.session.takeRequestSummary() == "2 requests: lookup 1, initialize 1")
    }
}
