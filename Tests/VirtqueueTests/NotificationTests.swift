// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import Testing
import Virtqueue

/// Who wakes whom, with and without VIRTIO_F_EVENT_IDX.
@Suite struct NotificationTests {
    /// Passes `count` chains through the ring and publishes them as one batch.
    private func batch(_ bench: Bench, _ count: Int) throws {
        for _ in 0..<count {
            try bench.add([buffer(0x10_0000, 1)], [])
            #expect(try bench.pop())
            bench.device.push(head: bench.chain.head, written: 0)
        }
        bench.device.publish()
        for _ in 0..<count { _ = try bench.driver.popUsed() }
    }

    @Test func flagsWithoutEventIndex() throws {
        let bench = try Bench(size: 8)
        #expect(!bench.device.needsNotification())  // nothing published
        try batch(bench, 2)
        #expect(bench.device.needsNotification())
        #expect(!bench.device.needsNotification())  // not twice
        bench.driver.disableInterrupts()
        #expect(bench.layout.available.loadRelaxed16(0) == 1)
        try batch(bench, 1)
        #expect(!bench.device.needsNotification())
        #expect(!bench.driver.enableInterrupts())
        #expect(bench.layout.available.loadRelaxed16(0) == 0)
        try batch(bench, 1)
        #expect(bench.device.needsNotification())

        bench.device.disableNotifications()
        #expect(bench.layout.used.loadRelaxed16(0) == 1)
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(!bench.driver.needsKick())
        // Seen although no kick came.
        #expect(bench.device.enableNotifications())
        #expect(bench.layout.used.loadRelaxed16(0) == 0)
        #expect(try bench.pop())
        #expect(!bench.device.enableNotifications())
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(bench.driver.needsKick())
        #expect(!bench.driver.needsKick())
    }

    @Test func interruptsWithEventIndex() throws {
        let bench = try Bench(size: 8, features: .eventIndex)
        #expect(!bench.device.needsNotification())
        // The first batch always interrupts, wherever used_event stands.
        bench.layout.available.storeRelaxed16(4 + 2 * 8, 0x4000)
        try batch(bench, 1)
        #expect(bench.device.needsNotification())
        #expect(!bench.device.needsNotification())
        // used_event is ahead by 0, 1, 2, …: an interrupt exactly for the batch that passes it.
        for ahead in 0..<4 as Range<UInt16> {
            for count in 1...4 {
                let event = bench.driver.nextUsed &+ ahead
                bench.layout.available.storeRelaxed16(4 + 2 * 8, event)
                try batch(bench, count)
                #expect(bench.device.needsNotification() == (count > ahead), "\(ahead) \(count)")
            }
        }
        // The avail flag is ignored.
        #expect(!bench.driver.enableInterrupts())
        bench.layout.available.storeRelaxed16(0, 1)
        try batch(bench, 1)
        #expect(bench.device.needsNotification())
        // An answered wish is not a wish any more.
        try batch(bench, 3)
        #expect(!bench.device.needsNotification())
        bench.driver.disableInterrupts()
        try batch(bench, 8)
        #expect(!bench.device.needsNotification())
        #expect(!bench.driver.enableInterrupts())
        #expect(bench.layout.available.loadRelaxed16(4 + 2 * 8) == bench.driver.nextUsed)
        try batch(bench, 1)
        #expect(bench.device.needsNotification())
    }

    @Test func kicksWithEventIndex() throws {
        let bench = try Bench(size: 8, features: .eventIndex)
        func consume() throws {
            while try bench.pop() { bench.device.push(head: bench.chain.head, written: 0) }
            bench.device.publish()
            while try bench.driver.popUsed() != nil {}
        }
        #expect(!bench.driver.needsKick())
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(bench.driver.needsKick())  // a zeroed ring asks for the first kick
        #expect(!bench.driver.needsKick())
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(!bench.driver.needsKick())  // the device is awake
        try consume()
        bench.layout.used.storeRelaxed16(0, 1)  // the used flag is ignored
        #expect(!bench.device.enableNotifications())
        #expect(bench.layout.used.loadRelaxed16(4 + 8 * 8) == 2)  // avail_event
        for _ in 0..<3 { try bench.add([buffer(0x10_0000, 1)], []) }
        #expect(bench.driver.needsKick())
        #expect(bench.device.enableNotifications())  // the last check before sleeping sees them
        try consume()
        bench.device.disableNotifications()
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(!bench.driver.needsKick())
        try consume()
    }

    /// The device can have several chains gather before the kick.
    @Test func kicksForSeveralWithEventIndex() throws {
        let bench = try Bench(size: 8, features: .eventIndex)
        try bench.add([buffer(0x10_0000, 1)], [])
        _ = bench.driver.needsKick()
        #expect(try bench.pop())
        #expect(!bench.device.enableNotifications(after: 3))
        for count in 1...3 {
            try bench.add([buffer(0x10_0000, 1)], [])
            #expect(bench.driver.needsKick() == (count == 3))
        }
        #expect(bench.device.enableNotifications(after: 3))
        #expect(!bench.device.enableNotifications(after: 4))
        #expect(bench.device.enableNotifications(after: 1))
    }

    /// Without EVENT_IDX there is no such choice.
    @Test func kicksForSeveralWithFlags() throws {
        let bench = try Bench(size: 8, features: [])
        #expect(!bench.device.enableNotifications(after: 3))
        try bench.add([buffer(0x10_0000, 1)], [])
        #expect(bench.driver.needsKick())
        #expect(bench.device.enableNotifications(after: 3))
    }

    @Test func usedChainsBeforeTheWishAreReported() throws {
        for features in [[], .eventIndex] as [RingFeatures] {
            let bench = try Bench(size: 8, features: features)
            try bench.add([buffer(0x10_0000, 1)], [])
            #expect(try bench.pop())
            bench.device.push(head: bench.chain.head, written: 0)
            #expect(!bench.driver.enableInterrupts())
            bench.device.publish()
            #expect(bench.driver.enableInterrupts())
            #expect(try bench.driver.popUsed() != nil)
            #expect(!bench.driver.enableInterrupts())
        }
    }
}
