// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import GuestMemory
import HostOS
import Synchronization
import Testing
import Virtqueue

@testable import Frontend

/// The driver's side of a queue against a device's side in the same process.
@Suite struct RequestQueueTests {
    private let soon = Deadline(milliseconds: 10_000)

    @Test(arguments: Framing.allCases, [RingFeatures.all, []]) func aRequestAndItsReply(
        framing: Framing, features: RingFeatures
    ) throws {
        let bench = try DeviceBench(size: 32, features: features)
        bench.queue.framing = framing
        for round in 0..<100 as Range<UInt8> {
            let request = [UInt8](repeating: round, count: 100)
            let ticket = try bench.queue.submit(RequestMessage(request, replyByteCount: 50))
            #expect(!bench.queue.isCompleted(ticket))
            #expect(try bench.pop() == request)
            #expect(bench.chain.writableByteCount == 50)
            bench.answer([round, 1, 2], to: bench.chain.head)
            let done = try bench.queue.wait(for: ticket, until: soon)
            #expect(done.written == 3 && done.reply == [round, 1, 2])
        }
        #expect(bench.queue.outstanding == 0)
    }

    @Test func completionsComeInAnyOrder() throws {
        let bench = try DeviceBench()
        let tickets = try (0..<4).map { try bench.queue.submit(RequestMessage([$0], replyByteCount: 16)) }
        #expect(throws: Errno.EAGAIN) { try bench.queue.submit(RequestMessage([9], replyByteCount: 16)) }
        var heads: [UInt16] = []
        while try bench.pop() != nil { heads.append(bench.chain.head) }
        for head in heads.reversed() {
            bench.device.push(head: head, written: 0)
            bench.device.publish()
        }
        for ticket in tickets { #expect(try bench.queue.wait(for: ticket, until: soon).written == 0) }
        #expect(throws: Errno.EINVAL, "taken already") { try bench.queue.wait(for: tickets[0], until: soon) }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let bench = try DeviceBench(size: 4, features: [])
        #expect(throws: Errno.E2BIG) {
            try bench.queue.submit(RequestMessage([UInt8](repeating: 0, count: 257), replyByteCount: 0))
        }
        #expect(throws: Errno.E2BIG) { try bench.queue.submit(RequestMessage([0], replyByteCount: 257)) }
        #expect(throws: Errno.EINVAL) { try bench.queue.submit(RequestMessage([], replyByteCount: 0)) }
        bench.queue.framing = .scattered
        #expect(throws: Errno.EINVAL, "more descriptors than the ring has") {
            try bench.queue.submit(RequestMessage([UInt8](repeating: 0, count: 200), replyByteCount: 16))
        }
        #expect(bench.queue.outstanding == 0)
    }

    @Test func waitingEnds() throws {
        let bench = try DeviceBench()
        let ticket = try bench.queue.submit(RequestMessage([1], replyByteCount: 16))
        #expect(throws: Errno.ETIMEDOUT) {
            try bench.queue.wait(for: ticket, until: Deadline(milliseconds: 1))
        }
        bench.queue.error.signal()
        #expect(throws: Errno.ECONNRESET) { try bench.queue.wait(for: ticket, until: soon) }
        bench.queue.restart()
        #expect(throws: Errno.EINVAL) { try bench.queue.wait(for: ticket, until: soon) }
    }

    @Test func aDeviceThatBreaksTheRing() throws {
        let bench = try DeviceBench()
        let ticket = try bench.queue.submit(RequestMessage([1], replyByteCount: 16))
        bench.queue.layout.used.storeRelease16(2, 7)  // seven used chains, of one that there is
        #expect(throws: Errno.EPROTO) { try bench.queue.wait(for: ticket, until: soon) }
    }

    /// Ten threads on one queue with fewer slots than threads: everybody gets the answer to their own question.
    @Test(arguments: [RingFeatures.all, []], [false, true]) func severalThreads(
        features: RingFeatures, backwards: Bool
    ) throws {
        let bench = try DeviceBench(size: 32, depth: 7, features: features)
        let (queue, soon) = (bench.queue, soon)
        let echo = try EchoDevice(queue.chains, ram: bench.ram, features: features, backwards: backwards)
        defer { echo.end() }
        let wrong = Atomic<Int>(0)
        let full = Atomic<Int>(0)
        let threads = try (0..<10).map { number in
            try HostOS.Thread(name: "asker") {
                for round in 0..<200 {
                    let question = [UInt8(number), UInt8(round), UInt8(number ^ round)]
                    while true {
                        do throws(Errno) {
                            let ticket = try queue.submit(RequestMessage(question, replyByteCount: 8))
                            let answer = try queue.wait(for: ticket, until: soon)
                            if answer.reply != question { wrong.add(1, ordering: .relaxed) }
                            break
                        } catch .EAGAIN {
                            full.add(1, ordering: .relaxed)
                            sched_yield()
                        } catch {
                            wrong.add(1, ordering: .relaxed)
                            break
                        }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(queue.outstanding == 0)
    }

    /// Whoever sleeps while another leads notices that the device has given up, too.
    @Test func everyWaiterEnds() throws {
        let bench = try DeviceBench()
        let (queue, soon) = (bench.queue, soon)
        let tickets = try (0..<3).map { try queue.submit(RequestMessage([$0], replyByteCount: 8)) }
        let ended = Mutex<[Errno?]>([])
        let threads = try tickets.map { ticket in
            try HostOS.Thread(name: "waiter") {
                do throws(Errno) {
                    _ = try queue.wait(for: ticket, until: soon)
                    ended.withLock { $0.append(nil) }
                } catch {
                    ended.withLock { $0.append(error) }
                }
            }
        }
        queue.error.signal()
        for thread in threads { thread.join() }
        #expect(ended.withLock { $0 } == [.ECONNRESET, .ECONNRESET, .ECONNRESET])
    }

    /// A follower's time runs out although the leader may wait longer.
    @Test func aFollowersTimeRunsOut() throws {
        let bench = try DeviceBench()
        let (queue, soon) = (bench.queue, soon)
        let first = try queue.submit(RequestMessage([1], replyByteCount: 8))
        let second = try queue.submit(RequestMessage([2], replyByteCount: 8))
        let leader = try HostOS.Thread(name: "leader") { _ = try? queue.wait(for: first, until: soon) }
        #expect(throws: Errno.ETIMEDOUT) {
            try queue.wait(for: second, until: Deadline(milliseconds: 5))
        }
        queue.error.signal()
        leader.join()
    }
}
