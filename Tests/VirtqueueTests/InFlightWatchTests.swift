// SPDX-License-Identifier: Apache-2.0
import Testing
import Virtqueue

@Suite struct InFlightWatchTests {
    /// A ring, the device that serves it, and somebody who watches.
    private final class Watched {
        let bench: Bench
        var watch: InFlightWatch

        init(size: Int) throws {
            bench = try Bench(size: size)
            watch = InFlightWatch(bench.layout, nextAvailable: 0)
        }

        /// Makes a chain available and lets the device take it; the driver collects what has come back.
        @discardableResult func begin() throws -> UInt16 {
            while try bench.driver.popUsed() != nil {}
            let head = try bench.add([buffer(0x10_0000, 8)], [])
            #expect(try bench.pop())
            return head
        }

        func end(_ head: UInt16) {
            bench.device.push(head: head, written: 0)
            bench.device.publish()
        }

        var heads: Set<UInt16>? {
            watch.look()
            return watch.heads.map { Set($0) }
        }
    }

    @Test func chainsInFlight() throws {
        let watched = try Watched(size: 8)
        #expect(watched.heads == [] && watched.watch.count == 0)
        let first = try watched.begin()
        let second = try watched.begin()
        #expect(watched.heads == [first, second])
        watched.end(first)
        #expect(watched.heads == [second] && watched.watch.nextAvailable == 2)
        watched.end(second)
        #expect(watched.heads == [])
        let moved = watched.watch.look()
        #expect(!moved)
    }

    /// The same head comes and goes several times between two looks.
    @Test func aHeadThatIsUsedAgain() throws {
        let watched = try Watched(size: 8)
        for _ in 0..<3 { watched.end(try watched.begin()) }
        let last = try watched.begin()
        #expect(watched.heads == [last])
    }

    /// One is overtaken by more than the ring has room for: seen now and then, it is not forgotten.
    @Test func aSlowOne() throws {
        let watched = try Watched(size: 4)
        let slow = try watched.begin()
        for turn in 0..<100 {
            let quick = try watched.begin()
            if turn % 2 == 0 { #expect(watched.heads == [slow, quick]) }
            watched.end(quick)
        }
        #expect(watched.heads == [slow])
    }

    @Test func tooMuchUnseen() throws {
        let watched = try Watched(size: 4)
        let slow = try watched.begin()
        watched.watch.look()
        for _ in 0..<5 { watched.end(try watched.begin()) }
        // What was in flight cannot be told any more, only how much.
        #expect(watched.heads == nil && watched.watch.count == 1)
        let more = try watched.begin()
        #expect(watched.heads == nil && watched.watch.count == 2)
        // When nothing is in flight, everything is known again.
        watched.end(slow)
        watched.end(more)
        #expect(watched.heads == [])
        let next = try watched.begin()
        #expect(watched.heads == [next])
    }

    @Test func beginsAnywhere() throws {
        let watched = try Watched(size: 4)
        for _ in 0..<6 { watched.end(try watched.begin()) }
        watched.watch = InFlightWatch(watched.bench.layout, nextAvailable: 6)
        #expect(watched.heads == [])
        let head = try watched.begin()
        #expect(watched.heads == [head])
    }

    @Test func indicesWrapAround() throws {
        let watched = try Watched(size: 2)
        for _ in 0..<0x1_0003 {
            let head = try watched.begin()
            #expect(watched.heads == [head])
            watched.end(head)
        }
        #expect(watched.heads == [])
    }

    /// Nonsense from the driver is no chain, and no crash.
    @Test func nonsense() throws {
        let bench = try Bench(size: 4)
        var watch = InFlightWatch(bench.layout, nextAvailable: 0)
        bench.layout.pokeAvailable([0xffff, 1, 1, 1], index: 4)
        watch.look()
        #expect(watch.heads == nil && watch.count == 4)
        bench.layout.pokeAvailable([], index: 0x8000)
        watch.look()
        #expect(watch.heads == nil)
    }

    @Test func anotherDeviceTakesAChainByItsHead() throws {
        let watched = try Watched(size: 4)
        try watched.bench.write([7, 8, 9], at: 0x10_0000)
        let (first, second) = (try watched.begin(), try watched.begin())
        watched.end(second)
        let heads = try #require(watched.heads)
        let heir = DeviceQueue(
            layout: watched.bench.layout, nextAvailable: watched.watch.nextAvailable, features: [])
        let chain = Chain()
        for head in heads { try heir.take(head, into: chain, memory: watched.bench.memory) }
        #expect(chain.head == first && Array(chain.request.prefix(3)) == [7, 8, 9] && heir.inFlight == 1)
        #expect(throws: RingFault.headOutOfRange) {
            try heir.take(4, into: chain, memory: watched.bench.memory)
        }
        heir.push(head: first, written: 0)
        heir.publish()
        var back: [UInt16] = []
        while let element = try watched.bench.driver.popUsed() { back.append(element.head) }
        #expect(back == [second, first])
    }
}
