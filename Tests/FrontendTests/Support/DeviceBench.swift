// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import Virtqueue

@testable import Frontend

/// A queue's driver side and its device side in one process.
final class DeviceBench {
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

/// A device that echoes what it reads until it is told to end, on a thread of its own.
final class EchoDevice {
    private let thread: HostOS.Thread
    private let stop: EventFD

    private struct Carried: @unchecked Sendable {
        let device: DeviceQueue
        let memory: GuestMemory
    }

    /// - Parameter backwards: gives a batch back in the opposite order.
    init(_ queue: ChainQueue, ram: GuestRAM, features: RingFeatures, backwards: Bool = false) throws {
        let stop = try EventFD()
        self.stop = stop
        let carried = Carried(
            device: DeviceQueue(layout: queue.layout, features: features), memory: ram.memory)
        thread = try HostOS.Thread(name: "echo") {
            let (device, chain) = (carried.device, Chain())
            while true {
                var batch: [(head: UInt16, written: Int)] = []
                repeat {
                    device.disableNotifications()
                    while (try? device.pop(into: chain, memory: carried.memory)) == true {
                        var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
                        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
                        let written = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
                        batch.append((chain.head, written))
                    }
                    for one in backwards ? batch.reversed() : batch {
                        device.push(head: one.head, written: UInt32(one.written))
                    }
                    batch = []
                    device.publish()
                    if device.needsNotification() { queue.call.signal() }
                } while device.enableNotifications()
                let ready = waitReadable(
                    queue.kick.descriptor.rawValue, stop.descriptor.rawValue, timeoutMilliseconds: -1)
                if ready & 0b10 != 0 { return }
                queue.kick.clear()
            }
        }
    }

    func end() {
        stop.signal()
        thread.join()
    }
}
