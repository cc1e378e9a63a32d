// SPDX-License-Identifier: Apache-2.0
import AllocationCounter
import Errors
import Glibc
import GuestMemory
import HostOS
import Synchronization
import Testing
import Virtqueue

@testable import Frontend

@Suite struct ChainQueueTests {
    /// Guest memory with one ring and a buffer of a page for each token.
    private struct Bench {
        let ram: GuestRAM
        let queue: ChainQueue
        let buffers: [RAMBuffer]

        init(size: Int = 8, buffers count: Int = 16, features: RingFeatures = .all) throws {
            var allocator = GuestAllocator(base: 0, regionByteCount: nil)
            let ring = allocator.take(RingLayout.contiguousByteCount(size), alignment: 64)
            let places = (0..<count).map { _ in allocator.take(4096, alignment: 4096, contiguous: true) }
            let ram = try GuestRAM(byteCount: (allocator.byteCount + 4095) / 4096 * 4096)
            self.ram = ram
            queue = try ChainQueue(index: 3, size: size, at: ring, ram: ram, features: features)
            buffers = try places.map { try RAMBuffer(at: $0, byteCount: 4096, memory: ram.memory) }
        }

        /// Four bytes at the buffer's start, an answer at 64, the table at 256.
        func submit(_ value: UInt32, in number: Int, indirect: Bool) throws(Errno) {
            withUnsafeBytes(of: value) { buffers[number].copy($0, at: 0) }
            let readable: InlineArray<1, GuestBuffer> = [buffers[number].part(at: 0, byteCount: 4)]
            let writable: InlineArray<1, GuestBuffer> = [buffers[number].part(at: 64, byteCount: 4)]
            try queue.submit(
                readable: readable.span, writable: writable.span, token: UInt32(number),
                table: indirect ? buffers[number].table(at: 256, descriptors: 2) : nil)
        }

        func answer(in number: Int) -> UInt32 {
            var value: UInt32 = 0
            withUnsafeMutableBytes(of: &value) { buffers[number].copy(from: 64, into: $0) }
            return value
        }
    }

    private func collect(_ queue: ChainQueue) throws(Errno) -> [Completion] {
        var completions = [Completion](repeating: Completion(), count: 4)
        var span = completions.mutableSpan
        let count = try queue.collect(into: &span)
        return Array(completions.prefix(count))
    }

    @Test func whatASubmitterSeesOfTheRing() throws {
        let bench = try Bench(size: 8)
        let queue = bench.queue
        #expect(queue.index == 3 && queue.size == 8 && queue.addresses.ring == 3)
        for number in 0..<8 { try bench.submit(7, in: number, indirect: true) }
        #expect(throws: Errno.EAGAIN, "the ring is full") { try bench.submit(7, in: 8, indirect: true) }
        #expect(queue.outstanding == 8)
        #expect(clearEvent(queue.kick.descriptor.rawValue), "an idle device wants the first kick")
        #expect(try collect(queue).isEmpty)
        #expect(!queue.armInterrupts())
        queue.restart()
        #expect(queue.outstanding == 0)
        try bench.submit(7, in: 0, indirect: false)
    }

    @Test func aChainWithTooSmallATableOrAnUnwantedOne() throws {
        let bench = try Bench(size: 8)
        let nothing: [GuestBuffer] = []
        let pieces = [GuestBuffer](repeating: bench.buffers[0].part(at: 0, byteCount: 4), count: 3)
        #expect(throws: Errno.EINVAL) {
            try bench.queue.enqueue(
                readable: pieces.span, writable: nothing.span, token: 0,
                table: bench.buffers[0].table(at: 256, descriptors: 2))
        }
        let plain = try Bench(size: 8, features: [])
        #expect(throws: Errno.EINVAL) { try plain.submit(1, in: 0, indirect: true) }
        #expect(plain.queue.outstanding == 0)
    }

    /// Each completion is taken once, with its own token, by whichever of two collectors comes first.
    @Test(arguments: [RingFeatures.all, []], [8, 1024]) func fourSubmittersAndTwoCollectors(
        features: RingFeatures, size: Int
    ) throws {
        let bench = try Bench(size: size, buffers: 16, features: features)
        let queue = bench.queue
        let echo = try EchoDevice(queue, ram: bench.ram, features: features, backwards: true)
        defer { echo.end() }
        let rounds = 300
        let busy = (0..<16).map { _ in Flag() }
        let wrong = Atomic<Int>(0)
        let collected = Atomic<Int>(0)
        let done = Atomic<Bool>(false)
        let collectors = try (0..<2).map { _ in
            try HostOS.Thread(name: "collector") {
                var completions = InlineArray<3, Completion>(repeating: Completion())
                while !done.load(ordering: .acquiring) {
                    var span = completions.mutableSpan
                    let count = (try? queue.collect(into: &span)) ?? 0
                    for index in 0..<count {
                        let number = Int(completions[index].token)
                        if completions[index].written != 4 { wrong.add(1, ordering: .relaxed) }
                        if !busy[number].value.exchange(false, ordering: .acquiringAndReleasing) {
                            wrong.add(1, ordering: .relaxed)
                        }
                        collected.add(1, ordering: .relaxed)
                    }
                    if count == 0, !queue.armInterrupts() {
                        _ = waitReadable(queue.callDescriptor, timeoutMilliseconds: 1)
                        queue.clearCall()
                    }
                }
            }
        }
        let submitters = try (0..<4).map { group in
            try HostOS.Thread(name: "submitter") {
                for round in 0..<rounds {
                    let number = group * 4 + round % 4
                    while busy[number].value.load(ordering: .acquiring) { sched_yield() }
                    if round >= 4, bench.answer(in: number) != UInt32(group << 16 | (round - 4)) {
                        wrong.add(1, ordering: .relaxed)
                    }
                    busy[number].value.store(true, ordering: .releasing)
                    while true {
                        do throws(Errno) {
                            let table = features.contains(.indirectDescriptors)
                            try bench.submit(UInt32(group << 16 | round), in: number, indirect: table)
                            break
                        } catch {
                            if error != .EAGAIN { return }
                            sched_yield()
                        }
                    }
                }
            }
        }
        for thread in submitters { thread.join() }
        let deadline = Deadline(milliseconds: 10_000)
        while collected.load(ordering: .relaxed) < 4 * rounds, !deadline.hasPassed { usleep(1000) }
        done.store(true, ordering: .releasing)
        for thread in collectors { thread.join() }
        #expect(collected.load(ordering: .relaxed) == 4 * rounds)
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(queue.outstanding == 0)
    }

    private final class Flag: Sendable { let value = Atomic<Bool>(false) }

    /// The good completions before a fault are handed out; then the fault stays.
    @Test func aFaultAfterACompletion() throws {
        let bench = try Bench(size: 8)
        try bench.submit(1, in: 5, indirect: false)
        try bench.submit(2, in: 6, indirect: false)
        let used = bench.queue.layout.used
        used.storeRelaxed32(4, 0)  // element 0: the head of the first chain
        used.storeRelaxed32(8, 4)
        used.storeRelaxed32(12, 99)  // element 1: no head of this ring
        used.storeRelease16(2, 2)
        #expect(try collect(bench.queue) == [Completion(token: 5, written: 4)])
        for _ in 0..<2 {
            #expect(throws: Errno.EPROTO) { try collect(bench.queue) }
        }
        #expect(bench.queue.fault == .unknownUsedElement)
    }

    @Test func nothingIsAllocated() throws {
        let bench = try Bench(size: 16)
        let device = DeviceQueue(layout: bench.queue.layout, features: .all)
        let chain = Chain()
        let thread = gettid()
        func round() throws {
            for number in 0..<8 { try bench.submit(1, in: number, indirect: number % 2 == 0) }
            while try device.pop(into: chain, memory: bench.ram.memory) {
                device.push(head: chain.head, written: 4)
            }
            device.publish()
            var completions = InlineArray<8, Completion>(repeating: Completion())
            var span = completions.mutableSpan
            bench.queue.disarmInterrupts()
            guard try bench.queue.collect(into: &span) == 8, !bench.queue.armInterrupts() else {
                throw Errno.EPROTO
            }
            bench.queue.clearCall()
        }
        for _ in 0..<8 { try round() }
        let before = allocation_count(thread)
        for _ in 0..<64 { try round() }
        let after = allocation_count(thread)
        #expect(before >= 0 && after == before)
    }
}
