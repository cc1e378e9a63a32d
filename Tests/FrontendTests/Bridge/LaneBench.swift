// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Virtqueue

@testable import Frontend

/// A ring with the buffers of a lane or a forget queue, and its device side, in one process.
final class LaneBench {
    let ram: GuestRAM
    let queue: ChainQueue
    let buffers: [RAMBuffer]
    let device: DeviceQueue
    private let chain = Chain()

    init(size: Int = 64, buffers count: Int = 4, features: RingFeatures = .all) throws {
        var allocator = GuestAllocator(base: 0, regionByteCount: nil)
        let ring = allocator.take(RingLayout.contiguousByteCount(size), alignment: 64)
        let places = (0..<count).map { _ in
            allocator.take(BridgeMemory.dataByteCount, alignment: 4096, contiguous: true)
        }
        let ram = try GuestRAM(byteCount: (allocator.byteCount + 4095) / 4096 * 4096)
        self.ram = ram
        queue = try ChainQueue(index: 1, size: size, at: ring, ram: ram, features: features)
        buffers = try places.map {
            try RAMBuffer(at: $0, byteCount: BridgeMemory.dataByteCount, memory: ram.memory)
        }
        device = DeviceQueue(layout: queue.layout, features: features)
    }

    var lane: Lane { Lane(queue: queue, arena: buffers[0], pool: BufferPool(Array(buffers.dropFirst()))) }

    /// Takes the next request and answers it by an error or a body; nil: gives it back unanswered, as a FORGET.
    func serve(_ body: (InHeader, [UInt8]) throws -> Result<[UInt8], Errno>?) throws -> Bool {
        guard try device.pop(into: chain, memory: ram.memory) else { return false }
        var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
        let request = OrdinaryAnswers.load(InHeader.self, bytes)
        var reply: [UInt8] = []
        if let answer = try body(request, Array(bytes.dropFirst(40))) {
            var header = OutHeader()
            header.unique = request.unique
            switch answer {
            case .success(let data): reply = data
            case .failure(let error): header.error = -error.rawValue
            }
            header.length = UInt32(16 + reply.count)
            reply = OrdinaryAnswers.bytes(header) + reply
        }
        _ = reply.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
        device.push(head: chain.head, written: UInt32(reply.count))
        device.publish()
        if device.needsNotification() { queue.call.signal() }
        return true
    }

    /// Takes the next request and gives it back, unanswered or with an error.
    func pop(answering error: Errno? = nil) throws -> [UInt8]? {
        guard try device.pop(into: chain, memory: ram.memory) else { return nil }
        var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
        var written = 0
        if let error {
            var header = OutHeader()
            header.length = UInt32(MemoryLayout<OutHeader>.size)
            header.error = -error.rawValue
            header.unique = OrdinaryAnswers.load(InHeader.self, bytes).unique
            written = withUnsafeBytes(of: &header) { chain.copyToWritable($0, at: 0) }
        }
        device.push(head: chain.head, written: UInt32(written))
        device.publish()
        if device.needsNotification() { queue.call.signal() }
        return bytes
    }
}
