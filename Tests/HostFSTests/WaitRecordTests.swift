// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
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

    /// The time to copy what was read is no waiting; all that is longer is.
    @Test func copyingIsNoWaiting() throws {
        let test = try TestShare()
        let patient = try test.share.makeWorker(mayWait: true)
        func take(milliseconds: UInt32, copying byteCount: Int) throws -> Bool {
            for _ in 0..<100 { test.share.waits.note(.read, nanoseconds: 0) }
            _ = try patient.waiting(.read, copied: { $0 }) { () throws(Errno) in
                usleep(milliseconds * 1000)
                return byteCount
            }
            return test.share.waits.isWorthHandingOver(.read)
        }
        #expect(try take(milliseconds: 1, copying: 0))
        // A minute's worth, so that a busy machine does not make it longer.
        #expect(try !take(milliseconds: 1, copying: 60_000_000_000 * WaitRecord.bytesPerNanosecond))
        #expect(try take(milliseconds: 2, copying: 1_000_000 * WaitRecord.bytesPerNanosecond))
    }

    /// What would wait is offered to whoever may take it: the whole READ, with the descriptor. What is not taken waits as ever.
    @Test func aReadThatWouldWaitMayBeTaken() throws {
        let test = try TestShare { $0.allowDirectIO = true }
        test.write("file", String(repeating: "x", count: 8192))
        let (node, handle) = try test.opened("file", O_RDONLY | O_DIRECT)
        let hasty = try test.share.makeWorker(mayWait: false)
        func read(_ fs: HostFS, _ taker: ReadTaker) throws -> Int {
            let pages = Pages([1000, 3096])
            var arguments = ReadIn()
            (arguments.handle, arguments.offset, arguments.size) = (handle, 4096, 4096)
            defer { fs.requestEnded() }
            return try fs.read(.root, nodeID: node, arguments, into: pages.data, deferrals: taker)
        }
        let taker = ReadTaker(room: 1)
        #expect(throws: Errno.mustWait) { try read(hasty, taker) }
        let taken = try #require(taker.taken.first)
        #expect(taken.offset == 4096 && taken.byteCount == 4096)
        #expect(vfs_fcntl_int(taken.descriptor, F_GETFL, 0) & O_DIRECT != 0)
        // Full: it leaves by what was measured, which is nothing.
        #expect(throws: Errno.mustWait) { try read(hasty, taker) }
        #expect(taker.taken.count == 1)
        test.share.waits.note(.directIO, nanoseconds: 1)
        do {
            #expect(try read(hasty, taker) == 4096)
        } catch {
            #expect(error as? Errno == .EINVAL, "the pages are not aligned")
        }
        // Who may wait does so.
        let other = ReadTaker(room: 1)
        _ = try? read(test.fs, other)
        #expect(other.taken.isEmpty)
    }

    /// Nothing says of a file system that cannot tell (EOPNOTSUPP) that the kernel would not wait for it with a thread.
    @Test func whereNobodyKnowsNothingIsTaken() throws {
        let test = try TestShare { $0.allowDirectIO = true }
        test.write("file", "hello")
        let (node, handle) = try test.opened("file", O_RDONLY)
        let hasty = try test.share.makeWorker(mayWait: false)
        test.share.waits.areKnownBefore = false
        let taker = ReadTaker(room: 1)
        var arguments = ReadIn()
        (arguments.handle, arguments.size) = (handle, 5)
        let pages = Pages([5])
        #expect(throws: Errno.mustWait) {
            try hasty.read(.root, nodeID: node, arguments, into: pages.data, deferrals: taker)
        }
        #expect(taker.taken.isEmpty)
    }
}
