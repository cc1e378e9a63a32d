// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Testing
import Virtqueue

@testable import Frontend

@Suite struct LaneTests {
    private func submit(_ unique: UInt64, on lane: Lane) throws -> Int {
        let slot = try #require(lane.take(for: LaneRequest(channel: 3, unique: unique, shape: .fixed(0))))
        let readable: InlineArray<1, GuestBuffer> = [lane.requestPart(of: slot, byteCount: 40)]
        let writable: InlineArray<1, GuestBuffer> = [lane.replyPart(of: slot, byteCount: 16)]
        try lane.submit(slot, readable: readable.span, writable: writable.span)
        return slot
    }

    private func opcode(_ request: [UInt8]) -> Opcode? {
        Opcode(rawValue: OrdinaryAnswers.load(InHeader.self, request).opcode)
    }

    @Test func slotsDoNotOverlap() throws {
        #expect(SlotLayout.tableOffset % 16 == 0)
        #expect(SlotLayout.tableOffset + 16 * SlotLayout.descriptors <= SlotLayout.stride)
        let lane = try LaneBench().lane
        #expect(lane.slotCount == 64, "a table each")
        let last = lane.requestPart(of: 63, byteCount: SlotLayout.requestByteCount)
        let reply = lane.replyPart(of: 63, byteCount: SlotLayout.replyByteCount)
        #expect(last.address.rawValue + 1024 == reply.address.rawValue)
        #expect(try LaneBench(features: []).lane.slotCount == 16, "four descriptors each")
    }

    @Test func someSlotsAreKept() throws {
        let lane = try LaneBench(size: 64, buffers: 4).lane
        #expect(!lane.isCrowded)
        for _ in 0..<48 { #expect(lane.take(for: LaneRequest()) != nil) }
        #expect(lane.isCrowded, "no more locks")
        #expect(lane.take(for: LaneRequest()) == nil, "the last 16 are for INTERRUPT")
        for _ in 0..<16 { #expect(lane.take(for: LaneRequest(), reserve: 0) != nil) }
        #expect(lane.take(for: LaneRequest(), reserve: 0) == nil)
    }

    @Test func aReleasedSlotGivesItsBuffersBack() throws {
        let lane = try LaneBench(size: 64, buffers: 4).lane
        var hand = BufferHand()
        let hasBuffers = lane.pool.provide(&hand)
        #expect(hasBuffers)
        let request = LaneRequest(requestBuffer: hand.reading, replyBuffer: hand.spare)
        let slot = try #require(lane.take(for: request))
        var next = BufferHand()
        let hasMore = lane.pool.provide(&next)
        #expect(!hasMore && next.reading >= 0, "one is left of three")
        lane.release(slot)
        let hasNow = lane.pool.provide(&next)
        #expect(hasNow)
    }

    @Test func anInterruptFollowsItsRequest() throws {
        let bench = try LaneBench()
        let lane = bench.lane
        let interrupts = Interrupts(lanes: [lane])
        _ = try submit(2, on: lane)
        interrupts.submitted(2, on: lane)
        _ = try submit(4, on: lane)
        interrupts.submitted(4, on: lane)
        interrupts.interrupt(4)
        _ = try bench.pop()
        _ = try bench.pop()
        let interrupt = try #require(try bench.pop())
        #expect(opcode(interrupt) == .interrupt && interrupt.count == 48)
        #expect(OrdinaryAnswers.load(InHeader.self, interrupt).unique == 5)
        #expect(OrdinaryAnswers.load(InterruptIn.self, Array(interrupt[40...])).unique == 4)
        #expect(try bench.pop() == nil)
    }

    /// It came on another channel before the request was with the device.
    @Test func anEarlyInterruptIsKept() throws {
        let bench = try LaneBench()
        let lane = bench.lane
        let interrupts = Interrupts(lanes: [lane])
        interrupts.interrupt(6)
        #expect(try bench.pop() == nil)
        _ = try submit(8, on: lane)
        interrupts.submitted(8, on: lane)
        _ = try submit(6, on: lane)
        interrupts.submitted(6, on: lane)
        #expect(OrdinaryAnswers.load(InHeader.self, try #require(try bench.pop())).unique != 6 | 1)
        _ = try bench.pop()
        #expect(opcode(try #require(try bench.pop())) == .interrupt)
        #expect(try bench.pop() == nil)
    }

    @Test func anInterruptOfWhatIsDoneIsNothing() throws {
        let bench = try LaneBench()
        let lane = bench.lane
        let slot = try submit(2, on: lane)
        _ = try bench.pop()
        #expect(lane.request(in: slot).unique == 2)
        lane.release(slot)
        #expect(!lane.interrupt(2))
        #expect(try bench.pop() == nil)
    }
}
