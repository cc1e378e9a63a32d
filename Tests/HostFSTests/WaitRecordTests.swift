// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Testing

@testable import HostFS

@Suite struct WaitRecordTests {
    private let slow = WaitRecord.handOverNanoseconds * 10

    @Test func whatIsNotKnownIsTakenForSlow() {
        let record = WaitRecord()
        for kind in Wait.allCases { #expect(record.isWorthHandingOver(kind)) }
    }

    @Test func quickCallsStayAndKindsAreApart() {
        let record = WaitRecord()
        record.note(.synchronize, nanoseconds: 2000)
        #expect(!record.isWorthHandingOver(.synchronize))
        #expect(record.isWorthHandingOver(.read))
    }

    @Test func oneSlowCallIsRememberedForSome() {
        let record = WaitRecord()
        record.note(.read, nanoseconds: 2000)
        record.note(.read, nanoseconds: slow)
        var count = 0
        while record.isWorthHandingOver(.read), count < 1000 {
            record.note(.read, nanoseconds: 2000)
            count += 1
        }
        // 10 × (7/8)^n < 1.
        #expect(count == 18)
    }

    /// The one throws before it has done anything, the other does it.
    @Test func whoMayNotWaitSaysSo() throws {
        let test = try TestShare()
        let patient = try test.share.makeWorker(mayWait: true)
        let hasty = try test.share.makeWorker(mayWait: false)
        var calls = 0
        #expect(throws: Errno.mustWait) {
            try hasty.waiting(.allocate) { () throws(Errno) in calls += 1 }
        }
        #expect(calls == 0)
        try patient.waiting(.allocate) { () throws(Errno) in calls += 1 }
        // It was quick, so the hasty one need not leave it to others any more.
        try hasty.waiting(.allocate) { () throws(Errno) in calls += 1 }
        #expect(calls == 2)
    }
}
