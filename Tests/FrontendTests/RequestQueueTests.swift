// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import Testing
import Virtqueue

@testable import Frontend

/// The driver's side of a queue against a device's side in the same process.
@Suite struct RequestQueueTests {
    private final class Bench {
        let ram: GuestRAM
        let queue: RequestQueue
        let device: DeviceQueue
        let chain = Chain()

        init(size: Int = 8, depth: Int = 4, features: RingFeatures = .all) throws {
            var allocator = GuestAllocator(base: 0, regionByteCount: nil)
            let capacity = SlotCapacity(request: 256, reply: 256)
            let plan = QueuePlan(index: 1, size: size, depth: depth, capacity: capacity, from: &allocator)
            ram = try GuestRAM(byteCount: (allocator.byteCount + 4095) / 4096 * 4096)
            queue = try RequestQueue(plan: plan, ram: ram, features: features)
            device = DeviceQueue(layout: queue.layout, features: features)
        }

        /// Takes the next request; nil when there is none.
        func pop() throws -> [UInt8]? {
            guard try device.pop(into: chain, memory: ram.memory) else { return nil }
            var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
            _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
            return bytes
        }

        func answer(_ bytes: [UInt8], to head: UInt16) {
            _ = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
            device.push(head: head, written: UInt32(bytes.count))
            device.publish()
            if device.needsNotification() { queue.call.signal() }
        }
    }

    private let soon = Deadline(milliseconds: 10_000)

    @Test(arguments: Framing.allCases, [RingFeatures.all, []]) func aRequestAndItsReply(
        framing: Framing, features: RingFeatures
    ) throws {
        let bench = try Bench(size: 32, features: features)
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
        let bench = try Bench()
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
        let bench = try Bench(size: 4, features: [])
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
        let bench = try Bench()
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
        let bench = try Bench()
        let ticket = try bench.queue.submit(RequestMessage([1], replyByteCount: 16))
        bench.queue.layout.used.storeRelease16(2, 7)  // seven used chains, of one that there is
        #expect(throws: Errno.EPROTO) { try bench.queue.wait(for: ticket, until: soon) }
    }
}
