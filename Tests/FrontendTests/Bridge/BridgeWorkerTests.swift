// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Testing

@testable import Frontend

/// Threads of a bridge between a socket, which gives and takes one message at a time as /dev/fuse does, and rings whose
/// device the test is.
private final class WorkerBench {
    let lanes: [LaneBench]
    let parts: BridgeParts
    /// The kernel's end.
    private let kernel: OwnedDescriptor
    private let channel: OwnedDescriptor
    private let stop: EventFD
    private var threads: [HostOS.Thread] = []

    init(lanes count: Int, threads threadCount: Int) throws {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_NONBLOCK.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
        kernel = OwnedDescriptor(adopting: ends[0])
        channel = OwnedDescriptor(adopting: ends[1])
        stop = try EventFD()
        let benches = try (0..<count).map { _ in try LaneBench() }
        lanes = benches
        let forgets = try LaneBench()
        let memory = try LaneBench(buffers: 2 * threadCount)
        let pool = BufferPool(memory.buffers)
        let all = benches.map { Lane(queue: $0.queue, arena: $0.buffers[0], pool: pool) }
        parts = BridgeParts(
            lanes: all, pool: pool,
            forgets: ForgetQueue(queue: forgets.queue, arena: forgets.buffers[0], stop: stop),
            interrupts: Interrupts(lanes: all), stop: stop)
        for index in 0..<threadCount {
            let (parts, number) = (parts, channel.rawValue)
            threads.append(
                try HostOS.Thread(name: "worker.\(index)") {
                    let lane = parts.lanes[index % parts.lanes.count]
                    let end = try? BridgeWorker(parts, lane: lane, channel: number).run()
                    if end != .stopped { Issue.record("a worker ended: \(String(describing: end))") }
                })
        }
    }

    deinit {
        stop.signal()
        for thread in threads { thread.join() }
    }

    /// Sends a GETATTR.
    func send(_ unique: UInt64, node: UInt64) throws {
        var message = (InHeader(), GetAttrIn())
        message.0.length = UInt32(MemoryLayout<InHeader>.size + MemoryLayout<GetAttrIn>.size)
        message.0.opcode = Opcode.getattr.rawValue
        message.0.unique = unique
        message.0.nodeID = node
        let size = Int(message.0.length)
        try retrying {
            withUnsafeBytes(of: &message) { Glibc.send(kernel.rawValue, $0.baseAddress, size, 0) }
        }
    }

    /// The unique and the error of the next answer.
    ///
    /// - Parameter device: what the device does meanwhile, again and again.
    func receive(device: () throws -> Void = {}) throws -> (unique: UInt64, error: Int32) {
        var header = OutHeader()
        try retrying(device) {
            withUnsafeMutableBytes(of: &header) { recv(kernel.rawValue, $0.baseAddress, $0.count, 0) }
        }
        return (header.unique, header.error)
    }

    private func retrying(_ device: () throws -> Void = {}, _ call: () -> Int) throws {
        let deadline = Deadline(milliseconds: MountBench.deadline)
        try device()
        while call() < 0 {
            try #require(errno == EAGAIN && !deadline.hasPassed)
            try device()
            usleep(1000)
        }
    }

    /// Waits until so many requests lie on the ring of a lane.
    func wait(until count: Int, on lane: Int) throws {
        let deadline = Deadline(milliseconds: MountBench.deadline)
        while lanes[lane].queue.outstanding != count {
            try #require(!deadline.hasPassed, "\(lanes[lane].queue.outstanding) are on the ring")
            usleep(1000)
        }
    }
}

@Suite struct BridgeWorkerTests {
    /// Whoever reads a request, it is behind all earlier ones of its object.
    @Test(arguments: [(2, 4), (3, 3), (1, 4)]) func anObjectsRequestsKeepTheirOrder(lanes: Int, threads: Int)
        throws
    {
        let bench = try WorkerBench(lanes: lanes, threads: threads)
        var unique: UInt64 = 0
        var laneOfNode: [UInt64: Int] = [:]
        var lastOfNode: [UInt64: UInt64] = [:]
        for _ in 0..<40 {
            for _ in 0..<30 {
                unique += 2
                try bench.send(unique, node: unique % 14 * 16)
            }
            var left = 30
            let deadline = Deadline(milliseconds: MountBench.deadline)
            while left > 0 {
                try #require(!deadline.hasPassed)
                for (index, lane) in bench.lanes.enumerated() {
                    while let request = try lane.pop(answering: .ENOENT) {
                        let header = OrdinaryAnswers.load(InHeader.self, request)
                        #expect(laneOfNode[header.nodeID, default: index] == index)
                        laneOfNode[header.nodeID] = index
                        #expect(lastOfNode[header.nodeID, default: 0] < header.unique)
                        lastOfNode[header.nodeID] = header.unique
                        left -= 1
                    }
                }
            }
            for _ in 0..<30 { #expect(try bench.receive().error == -Errno.ENOENT.rawValue) }
        }
        #expect(lastOfNode.count == 7 && Set(laneOfNode.values).count == lanes, "\(laneOfNode)")
    }

    /// A request that finds its lane full waits, and nobody's answer waits for it.
    @Test func aFullLaneIsWaitedFor() throws {
        let bench = try WorkerBench(lanes: 2, threads: 2)
        func lane(_ node: UInt64) -> Int { bench.parts.lane(of: node) === bench.parts.lanes[0] ? 0 : 1 }
        let node = try #require((1...100).first { lane($0) == 0 })
        let other = try #require((1...100).first { lane($0) == 1 })
        let room = bench.parts.lanes[0].slotCount - SlotLayout.reserve
        try bench.send(2, node: other)
        for index in 0..<(room + 5) { try bench.send(UInt64(4 + 2 * index), node: node) }
        try bench.wait(until: room, on: 0)
        try bench.wait(until: 1, on: 1)
        _ = try bench.lanes[1].pop(answering: .EPERM)
        let first = try bench.receive()
        #expect(first.unique == 2 && first.error == -Errno.EPERM.rawValue)

        var answered: Set<UInt64> = []
        while answered.count < room + 5 {
            // A request that has waited for its slot may come any time.
            let answer = try bench.receive { while try bench.lanes[0].pop(answering: .ENOENT) != nil {} }
            #expect(answer.error == -Errno.ENOENT.rawValue)
            #expect(answered.insert(answer.unique).inserted)
        }
        #expect(bench.lanes[0].queue.outstanding == 0)
    }

    /// Ending does not wait for a device that answers nothing.
    @Test func aFullLaneDoesNotKeepTheThreads() throws {
        let bench = try WorkerBench(lanes: 1, threads: 2)
        let room = bench.parts.lanes[0].slotCount - SlotLayout.reserve
        for index in 0..<(room + 5) { try bench.send(UInt64(2 + 2 * index), node: 1) }
        try bench.wait(until: room, on: 0)
    }
}
