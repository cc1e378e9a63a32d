// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@Suite struct DeadlineTests {
    @Test func remainingTime() {
        #expect(Deadline(milliseconds: -1).remainingMilliseconds == -1)
        #expect(Deadline(milliseconds: 0).remainingMilliseconds == 0)
        #expect((1...60_000).contains(Deadline(milliseconds: 60_000).remainingMilliseconds))
        #expect(Deadline(milliseconds: .max).remainingMilliseconds > 60_000)
    }

    @Test func waitingForBytes() throws {
        let event = try EventFD()
        #expect(!waitReadable(event.descriptor.rawValue, until: Deadline(milliseconds: 5)))
        event.signal()
        // What is there is seen even when the time is over.
        #expect(waitReadable(event.descriptor.rawValue, until: Deadline(milliseconds: 0)))
        #expect(waitReadable(event.descriptor.rawValue, until: Deadline(milliseconds: -1)))
    }

    @Test func waitingForRoom() throws {
        let event = try EventFD()
        let number = event.descriptor.rawValue
        #expect(waitWritable(number, until: Deadline(milliseconds: 0)))
        var full: UInt64 = .max - 1
        #expect(write(number, &full, 8) == 8)
        #expect(!waitWritable(number, until: Deadline(milliseconds: 5)))
        event.clear()
        #expect(waitWritable(number, until: Deadline(milliseconds: -1)))
    }
}
