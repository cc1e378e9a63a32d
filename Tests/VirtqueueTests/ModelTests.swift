// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS
import Testing
import Virtqueue

/// The two ends of a ring against a model of what a queue is: every request arrives once, whole, in order, and every
/// reply belongs to its request.
@Suite struct ModelTests {
    /// A request in the driver's view.
    private struct Pending {
        let request: [UInt8]
        let writable: [GuestBuffer]
        let slot: Int
        var room: Int { writable.reduce(0) { $0 + Int($1.byteCount) } }
    }

    /// The driver of a random test. Each slot is 4 KiB of buffers (one of them across the region border) and 1 KiB for a
    /// table.
    private final class Driver {
        let bench: Bench
        var random: SeededGenerator
        var freeSlots = Array(0..<64)
        var pending: [UInt16: Pending] = [:]
        /// Requests in the order they were made available.
        var order: [[UInt8]] = []
        var completed = 0

        init(_ bench: Bench, seed: UInt64) {
            self.bench = bench
            random = SeededGenerator(seed: seed)
        }

        /// Cuts up to `limit` bytes from `address` into random buffers, some of them empty.
        func cut(_ address: UInt64, limit: Int, pieces: Int) -> [GuestBuffer] {
            var (result, position) = ([GuestBuffer](), address)
            for _ in 0..<pieces {
                let count = UInt32.random(in: 0...UInt32(limit / pieces), using: &random)
                result.append(buffer(position, count))
                position += UInt64(count) + UInt64.random(in: 0...1, using: &random)
            }
            return result
        }

        /// Adds one random request if there is room. - Returns: whether it was added.
        func addOne() throws -> Bool {
            guard let slot = freeSlots.last else { return false }
            let base = slot == 63 ? Bench.border - 100 : Bench.buffers + UInt64(slot) * 0x1000
            let readable = cut(base, limit: 300, pieces: Int.random(in: 0...6, using: &random))
            let writable = cut(base + 2048, limit: 300, pieces: Int.random(in: 0...6, using: &random))
            var table: IndirectTable?
            if bench.features.contains(.indirectDescriptors), Bool.random(using: &random) {
                table = try bench.table(at: Bench.border + 0x4_0000 + UInt64(slot) * 0x400, count: 12)
            }
            let request = readable.flatMap { part in
                (0..<part.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            var rest = request[...]
            for part in readable {
                try bench.write(Array(rest.prefix(Int(part.byteCount))), at: part.address.rawValue)
                rest = rest.dropFirst(Int(part.byteCount))
            }
            do throws(Errno) {
                let head = try bench.driver.add(
                    readable: readable.span, writable: writable.span, indirectTable: table)
                #expect(pending[head] == nil)
                pending[head] = Pending(request: request, writable: writable, slot: slot)
                order.append(request)
                freeSlots.removeLast()
                return true
            } catch {
                let count = readable.count + writable.count
                if error == .ENOSPC { #expect(bench.driver.freeDescriptors < (table == nil ? count : 1)) }
                if error == .EINVAL { #expect(count == 0 || count > bench.driver.size) }
                return false
            }
        }

        /// Takes back one reply and checks it. - Returns: whether there was one.
        func takeOne() throws -> Bool {
            guard let element = try bench.driver.popUsed() else { return false }
            let done = try #require(pending[element.head])
            pending[element.head] = nil
            let reply = try done.writable.flatMap {
                try bench.read(Int($0.byteCount), at: $0.address.rawValue)
            }
            let expected = makeReply(to: done.request, room: done.room)
            #expect(Int(element.written) == expected.count)
            #expect(Array(reply.prefix(expected.count)) == expected)
            freeSlots.append(done.slot)
            completed += 1
            return true
        }
    }

    /// What the device answers: as many request bytes as fit, inverted, or a count up when there are none.
    private static func makeReply(to request: [UInt8], room: Int) -> [UInt8] {
        request.isEmpty ? (0..<room).map { UInt8(truncatingIfNeeded: $0) } : request.prefix(room).map { ~$0 }
    }

    /// Answers the request in `chain`. - Returns: how many bytes were written.
    fileprivate static func answer(_ chain: Chain) -> UInt32 {
        let reply = makeReply(to: chain.request, room: chain.writableByteCount)
        return UInt32(reply.withUnsafeBytes { chain.copyToWritable($0, at: 0) })
    }

    @Test(arguments: [[], .indirectDescriptors, .eventIndex, .all] as [RingFeatures])
    func randomOperations(features: RingFeatures) throws {
        let seed = SeededGenerator.announcedSeed("ModelTests.randomOperations(\(features.rawValue >> 28))")
        var random = SeededGenerator(seed: seed)
        let bench = try Bench(size: 16, features: features)
        let driver = Driver(bench, seed: seed ^ 1)
        var held: [Chain] = []
        var spare = (0..<16).map { _ in Chain() }
        var arrived = 0
        for _ in 0..<3000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                if try driver.addOne(), Bool.random(using: &random) { bench.driver.publish() }
            case 2:
                bench.driver.publish()
            case 3:
                guard let chain = spare.last, try bench.device.pop(into: chain, memory: bench.memory) else {
                    break
                }
                #expect(chain.request == driver.order[arrived], "seed \(seed)")
                arrived += 1
                held.append(spare.removeLast())
            case 4:
                guard let index = held.indices.randomElement(using: &random) else { break }
                let chain = held.remove(at: index)
                bench.device.push(head: chain.head, written: Self.answer(chain))
                spare.append(chain)
                if Bool.random(using: &random) { bench.device.publish() }
            default:
                bench.device.publish()
                while try driver.takeOne() {}
            }
            #expect(bench.device.inFlight == held.count)
        }
        // Drain: everything that was added comes back.
        bench.driver.publish()
        for chain in held { bench.device.push(head: chain.head, written: Self.answer(chain)) }
        while try bench.pop() { bench.device.push(head: bench.chain.head, written: Self.answer(bench.chain)) }
        bench.device.publish()
        while try driver.takeOne() {}
        #expect(driver.completed == driver.order.count)
        #expect(driver.completed > 100)
        #expect(bench.driver.freeDescriptors == 16)
    }

    /// Both ends on their own threads, sleeping on eventfds as in life: a lost wake-up would leave both asleep.
    @Test(arguments: [[], .all] as [RingFeatures]) func twoThreads(features: RingFeatures) throws {
        let seed = SeededGenerator.announcedSeed("ModelTests.twoThreads(\(features.rawValue >> 28))")
        let bench = try Bench(size: 16, features: features)
        let driver = Driver(bench, seed: seed)
        let (kick, call, stop) = try (EventFD(), EventFD(), EventFD())
        let total = 1500

        let device = Device(bench)
        let thread = try Thread(name: "device") { device.serve(kick: kick, call: call, stop: stop) }
        defer {
            stop.signal()
            thread.join()
            #expect(device.fault == nil)
        }
        while driver.completed < total {
            bench.driver.disableInterrupts()
            while driver.order.count < total, try driver.addOne() {
                if Bool.random(using: &driver.random) { break }
            }
            bench.driver.publish()
            if bench.driver.needsKick() { kick.signal() }
            while try driver.takeOne() {}
            if driver.order.count < total, driver.pending.count < 4 { continue }
            if driver.completed == total || bench.driver.enableInterrupts() { continue }
            try #require(wait(for: call, or: stop), "a lost wake-up, seed \(seed)")
            call.clear()
        }
        #expect(driver.pending.isEmpty)
    }
}

/// What the device's thread owns while it runs.
private final class Device: @unchecked Sendable {
    let bench: Bench
    var fault: RingFault?
    init(_ bench: Bench) { self.bench = bench }

    func serve(kick: EventFD, call: EventFD, stop: EventFD) {
        repeat {
            kick.clear()
            repeat {
                bench.device.disableNotifications()
                do throws(RingFault) {
                    while try bench.pop() {
                        bench.device.push(head: bench.chain.head, written: ModelTests.answer(bench.chain))
                    }
                } catch { fault = error; return }
                bench.device.publish()
                if bench.device.needsNotification() { call.signal() }
            } while bench.device.enableNotifications()
        } while wait(for: kick, or: stop)
    }
}

/// Waits for one of two events. - Returns: false when it was the second, or nothing for 20 seconds.
private func wait(for first: EventFD, or second: EventFD) -> Bool {
    var polls = [
        pollfd(fd: first.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
        pollfd(fd: second.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&polls, 2, 20_000) == -1, errno == EINTR {}
    return polls[0].revents != 0 && polls[1].revents == 0
}
