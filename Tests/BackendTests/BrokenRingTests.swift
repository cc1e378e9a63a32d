// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseServer
import FuseWire
import GuestMemory
import HostOS
import Testing
import VhostUser
import Virtqueue

@testable import Backend

/// T17: what a guest can do to a ring costs that ring, and nothing else.
@Suite struct BrokenRingTests {
    /// Writes a ring's memory without any of the rules.
    private struct RawRing {
        let layout: RingLayout
        static let next: UInt16 = 1
        static let writable: UInt16 = 2
        static let indirect: UInt16 = 4

        func describe(_ index: Int, _ address: UInt64, _ length: UInt32, _ flags: UInt16, next: UInt16 = 0) {
            let offset = index * 16
            layout.descriptors.storeRelaxed64(offset, address)
            layout.descriptors.storeRelaxed64(
                offset + 8, UInt64(length) | UInt64(flags) << 32 | UInt64(next) << 48)
        }

        /// Makes `heads` available from entry `start` on.
        func offer(_ heads: [UInt16], from start: UInt16 = 0, index: UInt16? = nil) {
            for (position, head) in heads.enumerated() {
                let entry = Int(start &+ UInt16(position)) & (layout.size - 1)
                layout.available.storeRelaxed16(4 + 2 * entry, head)
            }
            layout.available.storeRelease16(2, index ?? start &+ UInt16(heads.count))
        }
    }

    enum Attack: CaseIterable {
        case indexJump, headOutOfRange, loop, selfLoop, nextOutOfRange, addressOutside, addressWraps
        case crossesTheEnd, readableAfterWritable, tooLong
        case indirectNested, indirectWithNext, indirectEmpty, indirectOdd, indirectTooLong, indirectOutside
        case indirectLoop, indirectNextOutOfRange
    }

    private func perform(_ attack: Attack, on ring: RawRing, _ frontend: DeviceFrontend) throws {
        // Each attack's chain lies at descriptors 0…; the first available entry is the one after INIT, which was
        // served from this ring already.
        let memory = frontend.ram
        let end = memory.regions.last!.guestAddress + memory.regions.last!.size
        let scratch = end - 65536  // page-aligned, used by no slot of a request that is on its way
        func table(_ descriptors: [(UInt64, UInt32, UInt16, UInt16)]) throws {
            var bytes: [UInt8] = []
            for (address, length, flags, next) in descriptors {
                bytes +=
                    wireBytes(of: address) + wireBytes(of: length) + wireBytes(of: flags)
                    + wireBytes(of: next)
            }
            try memory.write(bytes.span, at: GuestAddress(scratch))
        }
        switch attack {
        case .indexJump: return ring.offer([], from: 1, index: UInt16(ring.layout.size) + 2)
        case .headOutOfRange: return ring.offer([UInt16(ring.layout.size)], from: 1)
        case .loop:
            for i in 0..<3 { ring.describe(i, scratch, 64, RawRing.next, next: UInt16((i + 1) % 3)) }
        case .selfLoop: ring.describe(0, scratch, 64, RawRing.next, next: 0)
        case .nextOutOfRange: ring.describe(0, scratch, 64, RawRing.next, next: 0xffff)
        case .addressOutside: ring.describe(0, end + 4096, 64, 0)
        case .addressWraps: ring.describe(0, UInt64.max - 8, 64, 0)
        case .crossesTheEnd: ring.describe(0, end - 8, 64, 0)
        case .readableAfterWritable:
            ring.describe(0, scratch, 64, RawRing.writable | RawRing.next, next: 1)
            ring.describe(1, scratch, 64, 0)
        case .tooLong:
            // 2^32 - 1 bytes twice: more than a chain may have, were they there at all.
            ring.describe(0, memory.regions[0].guestAddress, .max, RawRing.next, next: 1)
            ring.describe(1, memory.regions[0].guestAddress, .max, 0)
        case .indirectNested:
            try table([(scratch, 16, RawRing.indirect, 0)])
            ring.describe(0, scratch, 16, RawRing.indirect)
        case .indirectWithNext:
            try table([(scratch, 16, 0, 0)])
            ring.describe(0, scratch, 16, RawRing.indirect | RawRing.next, next: 1)
        case .indirectEmpty: ring.describe(0, scratch, 0, RawRing.indirect)
        case .indirectOdd: ring.describe(0, scratch, 24, RawRing.indirect)
        case .indirectTooLong: ring.describe(0, memory.regions[0].guestAddress, 16 * 65536, RawRing.indirect)
        case .indirectOutside: ring.describe(0, end, 16, RawRing.indirect)
        case .indirectLoop:
            try table([(scratch, 16, RawRing.next, 1), (scratch, 16, RawRing.next, 0)])
            ring.describe(0, scratch, 32, RawRing.indirect)
        case .indirectNextOutOfRange:
            try table([(scratch, 16, RawRing.next, 2), (scratch, 16, 0, 0)])
            ring.describe(0, scratch, 32, RawRing.indirect)
        }
        ring.offer([0], from: 1)
    }

    @Test(arguments: Attack.allCases) func aBrokenRingStopsAlone(attack: Attack) throws {
        let rig = try Rig(queues: 2, share: NullShare())
        var options = FrontendOptions()
        options.requestQueues = 2
        let client = try rig.guest(options)
        let frontend = client.frontend
        let queue = frontend.queues[1]
        try perform(attack, on: RawRing(layout: queue.layout), frontend)
        queue.kick.signal()
        #expect(waitReadable(queue.error.descriptor.rawValue, until: Deadline(milliseconds: 10_000)))

        client.queue = 2
        #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
        // Nothing of the bad chain was taken.
        #expect(try frontend.stop(queue) == 1)
        queue.restart()
        try frontend.start(queue)
        client.queue = 1
        #expect(try client.lookup(.root, "null".utf8).nodeID == 2)
    }

    /// Without the feature an indirect descriptor is an error too.
    @Test func indirectMustBeNegotiated() throws {
        let rig = try Rig(share: NullShare())
        var options = FrontendOptions()
        options.features = [.version1]
        let client = try rig.guest(options)
        let queue = client.frontend.queues[1]
        let ring = RawRing(layout: queue.layout)
        ring.describe(0, 0, 16, RawRing.indirect)
        ring.offer([0], from: 1)
        queue.kick.signal()
        #expect(waitReadable(queue.error.descriptor.rawValue, until: Deadline(milliseconds: 10_000)))
    }

    /// Chains without a byte to read, to write, or at all, are given back and the ring goes on.
    @Test func emptyChainsAreGivenBack() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let queue = client.frontend.queues[1]
        let page = GuestBuffer(GuestAddress(0), byteCount: 0)
        let reply = GuestBuffer(GuestAddress(client.frontend.ram.regions[0].size - 64), byteCount: 16)
        for (readable, writable): ([GuestBuffer], [GuestBuffer]) in [
            ([page], []), ([], [page]), ([page], [page]),
        ] {
            let ticket = try queue.enqueue(readable: readable, writable: writable)
            queue.notify()
            #expect(try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)).written == 0)
        }
        // With room for an answer there is one, although nothing says to what.
        let ticket = try queue.enqueue(readable: [], writable: [reply])
        queue.notify()
        #expect(try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)).written == 16)
        _ = try client.getattr(.root)
    }

    /// The index may say that the whole ring is full, and the same head may come again and again.
    @Test func aFullRingOfOneHeadIsServed() throws {
        let rig = try Rig(share: NullShare())
        let client = try rig.guest()
        let frontend = client.frontend
        let queue = frontend.queues[1]
        let ring = RawRing(layout: queue.layout)
        ring.describe(0, 0, 0, 0)
        ring.offer([UInt16](repeating: 0, count: queue.size), from: 1)
        queue.kick.signal()
        #expect(eventually { queue.layout.used.loadAcquire16(2) == UInt16(queue.size) + 1 })
        #expect(try frontend.stop(queue) == UInt16(queue.size) + 1)
    }
}
