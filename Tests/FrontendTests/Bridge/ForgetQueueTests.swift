// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS
import Testing
import Virtqueue

@testable import Frontend

@Suite struct ForgetQueueTests {
    private func header(_ opcode: Opcode, length: Int) -> InHeader {
        var header = InHeader()
        header.length = UInt32(length)
        header.opcode = opcode.rawValue
        header.unique = 4
        return header
    }

    /// Entry i forgets node i + 1 once more than that.
    private func fill(_ target: UnsafeMutableRawBufferPointer, from offset: Int) {
        for index in 0..<(target.count / 16) {
            var one = ForgetOne()
            one.nodeID = UInt64(offset / 16 + index + 1)
            one.count = one.nodeID + 1
            target.storeBytes(of: one, toByteOffset: index * 16, as: ForgetOne.self)
        }
    }

    private func forgotten(_ request: [UInt8]) -> [UInt64] {
        let count = OrdinaryAnswers.load(BatchForgetIn.self, Array(request[40...])).count
        return (0..<Int(count)).map {
            let one = OrdinaryAnswers.load(ForgetOne.self, Array(request[(48 + $0 * 16)...]))
            #expect(one.count == one.nodeID + 1)
            return one.nodeID
        }
    }

    @Test func oneForgetGoesAsItCame() throws {
        let bench = try LaneBench()
        let forgets = ForgetQueue(queue: bench.queue, arena: bench.buffers[0], stop: try EventFD())
        let message = OrdinaryAnswers.bytes(header(.forget, length: 48)) + [9, 0, 0, 0, 0, 0, 0, 0]
        try message.withUnsafeBytes { try forgets.forget($0) }
        #expect(try bench.pop() == message)
        #expect(try bench.pop() == nil)
    }

    @Test func aLongBatchIsSplit() throws {
        let bench = try LaneBench()
        let forgets = ForgetQueue(queue: bench.queue, arena: bench.buffers[0], stop: try EventFD())
        try forgets.forgetBatch(header(.batchForget, length: 48 + 300 * 16), entryByteCount: 300 * 16) {
            fill($1, from: $0)
        }
        var all: [UInt64] = []
        var requests = 0
        while let request = try bench.pop() {
            let header = OrdinaryAnswers.load(InHeader.self, request)
            #expect(Int(header.length) == request.count && header.opcode == Opcode.batchForget.rawValue)
            all += forgotten(request)
            requests += 1
        }
        #expect(all == Array(1...300))
        #expect(requests == 3)
    }

    @Test func aFullRingIsWaitedFor() throws {
        let bench = try LaneBench(size: 4)
        let forgets = ForgetQueue(queue: bench.queue, arena: bench.buffers[0], stop: try EventFD())
        let device = try EchoDevice(bench.queue, ram: bench.ram, features: .all)
        defer { device.end() }
        try forgets.forgetBatch(header(.batchForget, length: 48 + 5000 * 16), entryByteCount: 5000 * 16) {
            fill($1, from: $0)
        }
    }

    @Test func theEndOfTheMountEndsTheWait() throws {
        let bench = try LaneBench(size: 4)
        let stop = try EventFD()
        let forgets = ForgetQueue(queue: bench.queue, arena: bench.buffers[0], stop: stop)
        stop.signal()
        let message = OrdinaryAnswers.bytes(header(.forget, length: 48)) + [9, 0, 0, 0, 0, 0, 0, 0]
        for _ in 0..<6 { try message.withUnsafeBytes { try forgets.forget($0) } }
        #expect(bench.queue.outstanding == 4)
    }
}
