// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@Suite struct EventSetTests {
    @Test func reportsWhatIsReadable() throws {
        let (first, second) = (try EventFD(), try EventFD())
        let set = try EventSet()
        try set.add(first.descriptor.rawValue, bit: 0)
        try set.add(second.descriptor.rawValue, bit: 5)
        #expect(set.wait(timeoutMilliseconds: 0) == 0)
        second.signal()
        #expect(set.wait(timeoutMilliseconds: -1) == 1 << 5)
        first.signal()
        #expect(set.wait(timeoutMilliseconds: -1) == 1 << 5 | 1)
        second.clear()
        #expect(set.wait(timeoutMilliseconds: -1) == 1, "the other is readable still")
        #expect(throws: Errno.EEXIST) { try set.add(first.descriptor.rawValue, bit: 1) }
    }

    @Test func changesAreReportedOnce() throws {
        let event = try EventFD()
        let set = try EventSet()
        try set.add(event.descriptor.rawValue, bit: 2, changesOnly: true)
        event.signal()
        #expect(set.wait(timeoutMilliseconds: -1) == 1 << 2)
        #expect(set.wait(timeoutMilliseconds: 0) == 0, "nobody has read the counter, but nothing has changed")
        event.signal()
        #expect(set.wait(timeoutMilliseconds: -1) == 1 << 2)
    }

    /// Two threads sleep on the same event, so that the kernel chooses one.
    @Test func oneOfTheWaitersIsWoken() throws {
        let (event, woken, stop) = (try EventFD(), try EventFD(), try EventFD())
        var threads: [Thread] = []
        for _ in 0..<2 {
            threads.append(
                try Thread(name: "waiter") {
                    guard let set = try? EventSet() else { return }
                    try? set.add(event.descriptor.rawValue, bit: 0, exclusive: true, changesOnly: true)
                    try? set.add(stop.descriptor.rawValue, bit: 1)
                    while set.wait(timeoutMilliseconds: -1) & 0b10 == 0 { woken.signal() }
                })
        }
        event.signal()
        #expect(waitReadable(woken.descriptor.rawValue, timeoutMilliseconds: 10_000) != 0)
        stop.signal()
        for thread in threads { thread.join() }
    }
}
