// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS
import Testing

@testable import Backend

@Suite struct HoldbackTests {
    /// Answers `count` requests of a ring, each after `step` nanoseconds; returns after which the guest was told.
    private func serve(_ count: Int, step: Int64, _ holdback: inout Holdback, clock: inout Int64) -> [Int] {
        var (told, answered) = ([Int](), 0)
        for number in 1...count {
            clock += step
            answered += 1
            if count - number <= answered {
                holdback.rests()
            } else if holdback.holds(answered, now: clock) {
                continue
            }
            told.append(number)
            answered = 0
        }
        return told
    }

    @Test func theGuestIsToldInHalves() {
        var holdback = Holdback()
        var clock: Int64 = 0
        #expect(serve(16, step: 1000, &holdback, clock: &clock) == [8, 12, 14, 15, 16])
        #expect(serve(1, step: 1000, &holdback, clock: &clock) == [1])
        #expect(serve(2, step: 1000, &holdback, clock: &clock) == [1, 2])
    }

    /// Also while requests are not quick: each answer would cost as much as a good part of one.
    @Test func noAnswerIsHeldForLong() {
        var holdback = Holdback()
        var clock: Int64 = 0
        // The first of 100 is made after 3 µs; of the eighth, after 24, it would hear after 27: 24 later.
        let told = serve(100, step: 3000, &holdback, clock: &clock)
        #expect(Array(told.prefix(4)) == [7, 14, 21, 28])
        #expect(serve(100, step: 9000, &holdback, clock: &clock).prefix(3) == [3, 6, 9])
    }

    /// Where requests are slow the guest hears of each at once, and later it is tried again.
    @Test func slowRequestsHoldNothingUp() {
        var holdback = Holdback()
        var clock: Int64 = 0
        // Only the first may hold up another, as nothing is known before.
        #expect(serve(50, step: 5 * Holdback.longest, &holdback, clock: &clock) == Array(2...50))
        // 7/8 to the power of 13 are less than a fifth.
        let told = serve(100, step: 1000, &holdback, clock: &clock)
        #expect(Array(told.prefix(12)) == Array(1...12) && !told.contains(13))
    }

    /// The time in which nothing waited is nobody's.
    @Test func restIsNotSlow() {
        var holdback = Holdback()
        var clock: Int64 = 0
        for _ in 0..<4 {
            clock += 1_000_000
            #expect(serve(16, step: 1000, &holdback, clock: &clock) == [8, 12, 14, 15, 16])
        }
    }

    /// A guest that asks for interrupts all the time, as a driver does.
    @Test func aBatchOfRequestsTakesFewInterrupts() throws {
        let rig = try Rig(share: NullShare())
        var options = FrontendOptions()
        options.depth = 32
        options.features = [.version1, .indirectDescriptors, .eventIndex]
        let guest = try rig.guest(options)
        let queue = guest.frontend.queues[1]
        // On a busy machine the worker may lose its CPU amid a batch, so not each of them has to be the best.
        var fewest = Int.max
        for _ in 0..<20 {
            var request = FuseRequest(.getattr, NodeID(rawValue: 2), GetAttrIn())
            request.replyBodyByteCount = MemoryLayout<AttrOut>.size
            var tickets: [Ticket] = []
            for _ in 0..<32 {
                request.header.unique = guest.makeUnique()
                request.setLengths()
                tickets.append(try queue.enqueue(request.message))
            }
            var interrupts = 0
            // A worker that polls may have begun already, and of what is done before nobody is told.
            while queue.chains.armInterrupts() { try queue.collect() }
            queue.notify()
            while !tickets.allSatisfy(queue.isCompleted) {
                guard waitReadable(queue.call.descriptor.rawValue, timeoutMilliseconds: 10_000) != 0 else {
                    Issue.record("the guest was not told")
                    return
                }
                queue.call.clear()
                interrupts += 1
                repeat { try queue.collect() } while queue.chains.armInterrupts()
            }
            for ticket in tickets { _ = try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)) }
            fewest = min(fewest, interrupts)
        }
        #expect(fewest <= 8, "\(fewest) interrupts for 32 requests")
        rig.end()
    }
}
