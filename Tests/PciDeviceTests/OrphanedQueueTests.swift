// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Testing
import Virtqueue

@testable import PciDevice

/// A ring that a daemon has left, and its driver.
private final class Orphan {
    let memory: GuestMemory
    let layout: RingLayout
    let driver: DriverQueue
    let call: EventFD
    private var next: UInt64 = 0x1_0000

    init(features: RingFeatures = [.eventIndex]) throws {
        let file = try makeMemoryFile(name: "ram", byteCount: 1 << 20)
        memory = try GuestMemory(regions: [
            MemoryRegion(
                adopting: file, guestAddress: GuestAddress(0), byteCount: 1 << 20, userAddress: 0,
                mmapOffset: 0)
        ])
        layout = try RingLayout(size: 16, contiguousAt: GuestAddress(0), memory: memory)
        driver = DriverQueue(layout: layout, features: features)
        call = try EventFD()
        _ = driver.enableInterrupts()
    }

    /// A request of `opcode`; returns its head and where the reply will be.
    func ask(_ opcode: UInt32, unique: UInt64, replyByteCount: UInt32 = 64) throws -> (
        head: UInt16, reply: UInt64
    ) {
        var header = InHeader()
        header.length = 40
        header.opcode = opcode
        header.unique = unique
        try withUnsafeBytes(of: header) { try memory.copy($0, to: GuestAddress(next)) }
        let readable = [GuestBuffer(GuestAddress(next), byteCount: 40)]
        let reply = next + 64
        let writable =
            replyByteCount == 0 ? [] : [GuestBuffer(GuestAddress(reply), byteCount: replyByteCount)]
        next += 128
        let head = try driver.add(readable: readable.span, writable: writable.span, indirectTable: nil)
        driver.publish()
        return (head, reply)
    }

    func queue(from index: UInt16 = 0, inFlight: [UInt16] = []) throws -> OrphanedQueue {
        OrphanedQueue(
            layout, features: [.eventIndex], memory: memory, nextAvailable: index, inFlight: inFlight,
            call: SharedDescriptor(try call.descriptor.duplicate()))
    }

    func reply(at address: UInt64) throws -> OutHeader {
        var header = OutHeader()
        try withUnsafeMutableBytes(of: &header) { try memory.copy(from: GuestAddress(address), into: $0) }
        return header
    }
}

@Suite struct OrphanedQueueTests {
    @Test func requestsGetAnError() throws {
        let ring = try Orphan()
        let first = try ring.ask(Opcode.lookup.rawValue, unique: 10)
        let forget = try ring.ask(Opcode.forget.rawValue, unique: 0, replyByteCount: 0)
        let queue = try ring.queue()
        #expect(!queue.serve(refusesMounts: true))
        #expect(ring.call.clear())
        #expect(try ring.driver.popUsed() == UsedElement(head: first.head, written: 16))
        #expect(try ring.driver.popUsed() == UsedElement(head: forget.head, written: 0))
        let header = try ring.reply(at: first.reply)
        #expect(header.length == 16 && header.error == -Errno.ENOTCONN.rawValue && header.unique == 10)
        // The driver is asked to kick for the next one.
        let next = try ring.ask(Opcode.getattr.rawValue, unique: 12)
        #expect(ring.driver.needsKick())
        #expect(!queue.serve(refusesMounts: true))
        #expect(try ring.driver.popUsed()?.head == next.head)
    }

    @Test func whatTheDaemonHadBegunIsAnsweredFirst() throws {
        let ring = try Orphan()
        let begun = try ring.ask(Opcode.write.rawValue, unique: 20)
        let waiting = try ring.ask(Opcode.read.rawValue, unique: 22)
        let queue = try ring.queue(from: 1, inFlight: [begun.head])
        #expect(try ring.driver.popUsed()?.head == begun.head)
        #expect(try ring.reply(at: begun.reply).unique == 20)
        #expect(try ring.driver.popUsed() == nil)
        #expect(!queue.serve(refusesMounts: false))
        #expect(try ring.driver.popUsed()?.head == waiting.head)
        #expect(queue.nextAvailable == 2)
    }

    @Test func aNewMountIsLeftForANewDaemon() throws {
        let ring = try Orphan()
        let queue = try ring.queue()
        _ = try ring.ask(Opcode.destroy.rawValue, unique: 30)
        let hello = try ring.ask(Opcode.initialize.rawValue, unique: 32)
        for _ in 0..<3 {
            #expect(queue.serve(refusesMounts: false))
            #expect(queue.nextAvailable == 1)
        }
        #expect(try ring.driver.popUsed() != nil)
        #expect(try ring.driver.popUsed() == nil)
        // When nobody has come for it, it fails like everything else.
        #expect(!queue.serve(refusesMounts: true))
        #expect(try ring.driver.popUsed()?.head == hello.head)
        #expect(try ring.reply(at: hello.reply).error == -Errno.ENOTCONN.rawValue)
    }

    @Test func roomForNoReply() throws {
        let ring = try Orphan()
        _ = try ring.ask(Opcode.lookup.rawValue, unique: 40, replyByteCount: 15)
        let queue = try ring.queue()
        #expect(!queue.serve(refusesMounts: true))
        #expect(try ring.driver.popUsed()?.written == 0)
    }

    @Test func aBrokenRingIsLeftAlone() throws {
        let ring = try Orphan()
        let queue = try ring.queue()
        ring.layout.available.storeRelease16(2, 0x7777)
        #expect(!queue.serve(refusesMounts: false))
        #expect(queue.isBroken)
        #expect(!queue.serve(refusesMounts: false))
        #expect(try ring.queue(inFlight: [99]).isBroken)
    }
}
