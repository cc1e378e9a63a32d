// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Synchronization
import Testing
import VhostUser

/// Many threads on few queues, against our daemon: everybody gets what they asked for.
@Suite struct StressTests {
    private static let byteCount = 1 << 20
    private static let content = (0..<byteCount).map {
        UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13)
    }

    /// One request with a name of its own, checked as `FuseClient` does.
    private static func call(_ request: FuseRequest, unique: UInt64, on queue: RequestQueue) throws(Errno)
        -> [UInt8]
    {
        var request = request
        request.header.unique = unique
        request.setLengths()
        var ticket: Ticket?
        while ticket == nil {
            do throws(Errno) {
                ticket = try queue.submit(request.message)
            } catch {
                if error != .EAGAIN { throw error }
                sched_yield()
            }
        }
        guard let ticket else { throw .EIO }
        let done = try queue.wait(for: ticket, until: Deadline(milliseconds: 60_000))
        guard let header = wireValue(OutHeader.self, from: done.reply), header.unique == unique,
            Int(header.length) == done.written, done.reply.count == done.written
        else { throw .EPROTO }
        if header.error != 0 { throw Errno(rawValue: -header.error) }
        return Array(done.reply.dropFirst(16))
    }

    @Test(arguments: [(1, 2), (4, 3)]) func readersAndWriters(queues: Int, depth: Int) throws {
        let directory = try TemporaryDirectory(prefix: "front-")
        let path = directory.path + "/file"
        do {
            let file = OwnedDescriptor(
                adopting: try systemCall { () -> Int32 in open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644) })
            try Files.writeAll(file.rawValue, Self.content)
        }
        var configuration = DaemonConfiguration(tag: "stress", directory: directory.path)
        configuration.requestQueues = queues
        configuration.options = ["--sandbox=none"]
        let daemon = try DaemonProcess(configuration)
        var options = FrontendOptions()
        options.requestQueues = queues
        options.depth = depth  // fewer slots than threads
        options.queueSize = 64
        let frontend = try DeviceFrontend(connectingTo: daemon.socketPath, options: options)
        let client = FuseClient(frontend)
        _ = try client.initialize()
        let node = NodeID(rawValue: try client.lookup(.root, "file".utf8).nodeID)
        let handle = try client.open(node, flags: UInt32(O_RDWR)).handle
        let requestQueues = Array(frontend.queues.dropFirst())
        let failures = Mutex<[String]>([])
        let threads = try (0..<8).map { number in
            try HostOS.Thread(name: "stress") {
                var generator = SystemRandomNumberGenerator()
                for round in 0..<150 {
                    let queue = requestQueues[Int.random(in: 0..<requestQueues.count, using: &generator)]
                    let unique = UInt64(number) << 32 | UInt64(round) << 1
                    let offset = Int.random(in: 0..<Self.byteCount - 70000, using: &generator)
                    let count = Int.random(in: 1...70000, using: &generator)
                    let wanted = Array(Self.content[offset..<offset + count])
                    do throws(Errno) {
                        if round % 3 == 0 {
                            // Writes what is there already, so that everybody else may go on reading.
                            let request = FuseClient.writeRequest(
                                node, handle, offset: UInt64(offset), wanted)
                            let reply = try Self.call(request, unique: unique, on: queue)
                            let size = wireValue(WriteOut.self, from: reply)?.size
                            if size != UInt32(count) { throw .ERANGE }
                        } else {
                            let request = FuseClient.readRequest(
                                .read, node, handle, offset: UInt64(offset), size: count)
                            if try Self.call(request, unique: unique, on: queue) != wanted { throw .EIO }
                        }
                    } catch {
                        failures.withLock { $0.append("thread \(number), round \(round): \(error)") }
                        return
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        for queue in frontend.queues { #expect(queue.outstanding == 0) }
        try FrontendWatch(frontend).check()
        #expect(try Files.read(path) == Self.content)
    }

    /// A daemon that is killed while many wait: every one of them hears of it.
    @Test func killedUnderLoad() throws {
        let directory = try TemporaryDirectory(prefix: "front-")
        var configuration = DaemonConfiguration(tag: "stress", directory: directory.path)
        configuration.options = ["--sandbox=none"]
        let daemon = try DaemonProcess(configuration)
        var options = FrontendOptions()
        options.depth = 8
        let frontend = try DeviceFrontend(connectingTo: daemon.socketPath, options: options)
        _ = try FuseClient(frontend).initialize()
        let queue = frontend.queues[1]
        let ended = Mutex<[Errno]>([])
        let served = Atomic<Int>(0)
        let threads = try (0..<8).map { number in
            try HostOS.Thread(name: "caller") {
                var round: UInt64 = 0
                while true {
                    round += 2
                    do throws(Errno) {
                        _ = try Self.call(
                            {
                                var request = FuseRequest(.statfs, .root)
                                request.replyBodyByteCount = MemoryLayout<StatFSOut>.size
                                return request
                            }(), unique: UInt64(number) << 32 | round, on: queue)
                        served.add(1, ordering: .relaxed)
                    } catch {
                        ended.withLock { $0.append(error) }
                        return
                    }
                }
            }
        }
        let deadline = Deadline(milliseconds: 30_000)
        while served.load(ordering: .relaxed) < 1000, !deadline.hasPassed { usleep(1000) }
        daemon.process.stop(graceMilliseconds: 0)
        for thread in threads { thread.join() }
        #expect(served.load(ordering: .relaxed) >= 1000)
        #expect(ended.withLock { $0 } == [Errno](repeating: .ECONNRESET, count: 8))
    }
}
