// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@Suite struct PollSetTests {
    @Test func readyOnesAreTold() throws {
        let events = try (0..<6).map { _ in try EventFD() }
        var set = PollSet(events.map { $0.descriptor.rawValue } + [-1])
        func look(_ milliseconds: Int32) -> Bool { set.wait(timeoutMilliseconds: milliseconds) }
        #expect(!look(0))
        events[1].signal()
        events[5].signal()
        #expect(look(-1))
        #expect((0..<7).map { set.isReady($0) } == [false, true, false, false, false, true, false])
        events[1].clear()
        #expect(look(10_000))
        #expect(!set.isReady(1) && set.isReady(5))
        // What the last look found is gone after one that found nothing.
        events[5].clear()
        #expect(!look(0))
        #expect(!set.isReady(5))
    }
}
