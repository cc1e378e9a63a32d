// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Synchronization
import Testing
import VhostUser
import Virtqueue

@testable import Frontend

/// What a device writes into a ring, or into a reply, that no device may: an error for the caller, and one sentence.
@Suite struct HostileDeviceTests {
    private final class Bench {
        let backend: FakeBackend
        let frontend: DeviceFrontend
        let client: FuseClient
        let device: DeviceQueue
        let chain = Chain()
        let watch: FrontendWatch
        var queue: RequestQueue { frontend.queues[1] }

        init(_ configure: (inout FrontendOptions) -> Void = { _ in }) throws {
            backend = try FakeBackend()
            var options = FrontendOptions()
            options.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
            configure(&options)
            frontend = try backend.connect(options)
            client = FuseClient(frontend)
            client.timeout = 10_000
            device = DeviceQueue(layout: frontend.queues[1].layout, features: .all)
            watch = FrontendWatch(frontend)
        }

        /// Submits GETATTR and takes it, as the device.
        func ask() throws -> FuseClient.Pending {
            var request = FuseRequest(.getattr, .root, GetAttrIn())
            request.replyBodyByteCount = MemoryLayout<AttrOut>.size
            let pending = try client.submit(request)
            #expect(try device.pop(into: chain, memory: frontend.ram.memory))
            return pending
        }

        func answer(_ bytes: [UInt8], written: UInt32? = nil, head: UInt16? = nil) {
            _ = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
            device.push(head: head ?? chain.head, written: written ?? UInt32(bytes.count))
            device.publish()
            if device.needsNotification() { queue.call.signal() }
        }

        func header(_ pending: FuseClient.Pending, length: UInt32? = nil, error: Int32 = 0, body: Int = 0)
            -> [UInt8]
        {
            var header = OutHeader()
            header.length = length ?? UInt32(16 + body)
            header.error = error
            header.unique = pending.unique
            return wireBytes(of: header) + [UInt8](repeating: 0, count: body)
        }
    }

    @Test func replies() throws {
        let bench = try Bench()
        func expect(_ make: (FuseClient.Pending) -> ([UInt8], UInt32?)) throws {
            let pending = try bench.ask()
            let (bytes, written) = make(pending)
            bench.answer(bytes, written: written)
            #expect(throws: Errno.EPROTO) { try bench.client.receive(pending) }
        }
        try expect { (bench.header($0), 0) }
        try expect { (bench.header($0), 4) }
        try expect { (bench.header($0), 15) }
        try expect { (bench.header($0, length: 17), nil) }
        try expect { (bench.header($0, length: .max), nil) }
        try expect { (bench.header($0, length: 0), nil) }
        try expect { (bench.header($0, error: 1), nil) }
        try expect { (bench.header($0, error: -512), nil) }
        try expect { (bench.header($0, error: .min), nil) }
        try expect { (bench.header($0, error: -2, body: 8), nil) }
        try expect { pending in
            var bytes = bench.header(pending)
            bytes[8] ^= 2  // the unique of another request
            return (bytes, nil)
        }
        // The queue is none the worse for it.
        let pending = try bench.ask()
        bench.answer(bench.header(pending, error: -2))
        #expect(try bench.client.receive(pending).header.error == -2)
        try bench.watch.check()
    }

    /// A body of the wrong size for its request.
    @Test(arguments: [0, 1, 87, 103]) func bodies(count: Int) throws {
        let bench = try Bench()
        let responder = try Responder(
            bench.frontend, device: bench.device, body: [UInt8](repeating: 0, count: count))
        defer { responder.end() }
        #expect(throws: Errno.EPROTO) { try bench.client.getattr(.root) }
    }

    /// Answers each request with the same body.
    private final class Responder {
        private let thread: HostOS.Thread
        private let kick: EventFD
        private struct Carried: @unchecked Sendable {
            let device: DeviceQueue
            let memory: GuestMemory
        }
        private final class Flag: Sendable { let value = Atomic<Bool>(false) }
        private let flag = Flag()

        init(_ frontend: DeviceFrontend, device: DeviceQueue, body: [UInt8]) throws {
            let queue = frontend.queues[1]
            let carried = Carried(device: device, memory: frontend.ram.memory)
            kick = queue.kick
            let flag = flag
            thread = try HostOS.Thread(name: "responder") {
                let chain = Chain()
                while !flag.value.load(ordering: .acquiring) {
                    while (try? carried.device.pop(into: chain, memory: carried.memory)) == true {
                        var request = InHeader()
                        withUnsafeMutableBytes(of: &request) { _ = chain.copyReadable(from: 0, into: $0) }
                        var header = OutHeader()
                        header.length = UInt32(16 + body.count)
                        header.unique = request.unique
                        let bytes = wireBytes(of: header) + body
                        _ = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
                        carried.device.push(head: chain.head, written: UInt32(bytes.count))
                        carried.device.publish()
                        queue.call.signal()
                    }
                    if carried.device.enableNotifications() { continue }
                    _ = waitReadable(queue.kick.descriptor.rawValue, timeoutMilliseconds: -1)
                    queue.kick.clear()
                }
            }
        }

        func end() {
            flag.value.store(true, ordering: .releasing)
            kick.signal()
            thread.join()
        }
    }

    enum Lie: CaseIterable {
        case tooLong, muchTooLong, unknownHead, freeHead, hugeHead, indexJump, indexBack
    }

    @Test(arguments: Lie.allCases) func theRing(lie: Lie) throws {
        let bench = try Bench()
        let pending = try bench.ask()
        let used = bench.queue.layout.used
        var fault = RingFault.unknownUsedElement
        switch lie {
        case .tooLong, .muchTooLong:
            fault = .usedLengthTooLong
            let room = UInt32(16 + MemoryLayout<AttrOut>.size)
            bench.answer(bench.header(pending), written: lie == .tooLong ? room + 1 : .max)
        case .unknownHead: bench.answer(bench.header(pending), head: UInt16(bench.queue.size))
        case .freeHead: bench.answer(bench.header(pending), head: bench.chain.head + 1)
        case .hugeHead:
            used.storeRelaxed32(4, .max)
            used.storeRelaxed32(8, 16)
            used.storeRelease16(2, 1)
            bench.queue.call.signal()
        case .indexJump, .indexBack:
            fault = .usedIndexJumped
            used.storeRelease16(2, lie == .indexJump ? 2 : .max)
            bench.queue.call.signal()
        }
        #expect(throws: Errno.EPROTO) { try bench.client.receive(pending) }
        #expect(waitReadable(any: bench.watch.descriptors, timeoutMilliseconds: 0).contains(true))
        #expect(throws: DaemonFailure.brokeQueue(1, fault)) { try bench.watch.check() }
        // And so for whoever comes later.
        let next = try bench.client.submit(FuseRequest(.statfs, .root))
        #expect(throws: Errno.EPROTO) { try bench.client.receive(next) }
    }

    /// Two requests, and two answers to the first of them.
    @Test func anAnswerTwice() throws {
        let bench = try Bench()
        let first = try bench.ask()
        let head = bench.chain.head
        let second = try bench.ask()
        bench.device.push(head: head, written: 0)
        bench.device.push(head: head, written: 0)
        bench.device.publish()
        #expect(try bench.queue.wait(for: first.ticket, until: Deadline(milliseconds: 5000)).written == 0)
        #expect(throws: Errno.EPROTO) { try bench.client.receive(second) }
        #expect(throws: DaemonFailure.brokeQueue(1, .unknownUsedElement)) { try bench.watch.check() }
    }

    @Test func noAnswer() throws {
        let bench = try Bench()
        bench.client.timeout = 20
        let pending = try bench.ask()
        #expect(throws: Errno.ETIMEDOUT) { try bench.client.receive(pending) }
        try bench.watch.check()
    }

    /// Interrupts without end and without a completion are no completion.
    @Test func interruptsForNothing() throws {
        let bench = try Bench()
        bench.client.timeout = 50
        let call = bench.queue.call
        let stop = try EventFD()
        let noise = try HostOS.Thread(name: "noise") {
            while waitReadable(stop.descriptor.rawValue, timeoutMilliseconds: 0) == 0 { call.signal() }
        }
        let pending = try bench.ask()
        #expect(throws: Errno.ETIMEDOUT) { try bench.client.receive(pending) }
        stop.signal()
        noise.join()
    }

    @Test func dyingInTheMiddle() throws {
        let bench = try Bench()
        let pending = try bench.ask()
        bench.backend.die()
        #expect(throws: Errno.ECONNRESET) { try bench.client.receive(pending) }
        #expect(waitReadable(any: bench.watch.descriptors, timeoutMilliseconds: 0).contains(true))
        #expect(throws: DaemonFailure.disconnected) { try bench.watch.check() }
    }

    @Test func givingUpAQueue() throws {
        let bench = try Bench()
        let pending = try bench.ask()
        bench.queue.error.signal()
        #expect(throws: Errno.ECONNRESET) { try bench.client.receive(pending) }
        #expect(throws: DaemonFailure.gaveUpQueue(1)) { try bench.watch.check() }
    }

    @Test func speakingUnasked() throws {
        let bench = try Bench()
        try bench.backend.send(
            MessageHeader(request: 3, flags: .answer, payloadByteCount: 0).encoded, descriptors: [0])
        #expect(throws: DaemonFailure.connection(.unexpectedMessage(request: 3, flags: 5))) {
            try bench.watch.check()
        }
        try bench.backend.send([UInt8](repeating: 0xee, count: 12))
        #expect(throws: DaemonFailure.connection(.wrongVersion(flags: 0xeeee_eeee))) {
            try bench.watch.check()
        }
    }

    @Test func theChannel() throws {
        let bench = try Bench()
        let file = try ScratchFile(pages: 2)
        func peer() throws -> Connection { try #require(bench.backend.channel) }
        let mapping = SharedMemoryMapping(
            regionID: 0, fileOffset: 4096, regionOffset: 0, length: 4096, flags: 1)
        try peer().send(request: 9, flags: .request, payload: mapping.encoded, descriptors: [file.number])
        #expect(waitReadable(any: bench.watch.descriptors, timeoutMilliseconds: 10_000).contains(true))
        try bench.watch.check()
        #expect(try bench.frontend.windows[0]?.readBytes(0, count: 1) == [1])
        try bench.frontend.reset()
        #expect(try #require(bench.frontend.windows[0]).pieces.isEmpty)
        try peer().send(request: 9, flags: .answer)
        #expect(throws: DaemonFailure.channel(.unexpectedMessage(request: 9, flags: 5))) {
            try bench.watch.check()
        }
        bench.backend.closeChannel()
        #expect(throws: DaemonFailure.channel(.disconnected)) { try bench.watch.check() }
    }

    @Test func sentences() {
        let failures: [(DaemonFailure, String)] = [
            (.disconnected, "the daemon closed its connection"),
            (
                .brokeQueue(1, .unknownUsedElement),
                "the daemon broke request queue 1: it answered a request that it does not have"
            ),
            (
                .brokeQueue(0, .usedLengthTooLong),
                "the daemon broke the hiprio queue: it claims to have written more than there was room for"
            ),
            (
                .brokeQueue(2, .usedIndexJumped),
                "the daemon broke request queue 2: it claims to have answered more requests than there are"
            ),
            (.gaveUpQueue(3), "the daemon gave up request queue 3"),
            (.channel(.disconnected), "the daemon closed the channel for its own requests"),
            (
                .connection(.payloadSize(3)),
                "the daemon broke the vhost-user protocol: a payload of 3 bytes"
            ),
        ]
        for (failure, text) in failures { #expect("\(failure)" == text) }
    }

    /// A directory that never gets on: entry after entry, all at the same place.
    @Test(arguments: [0, 7] as [UInt64]) func aDirectoryWithoutEnd(offset: UInt64) throws {
        let bench = try Bench()
        var entry = Dirent()
        entry.offset = offset
        entry.nameLength = 1
        let body = wireBytes(of: entry) + [97, 0, 0, 0, 0, 0, 0, 0]
        let responder = try Responder(bench.frontend, device: bench.device, body: body)
        defer { responder.end() }
        #expect(try bench.client.readdir(.root, 1).count == 1)
        #expect(throws: Errno.EPROTO) { try bench.client.readAll(.root, 1) }
    }

    /// Two bytes written, of one.
    @Test func moreThanThereWas() throws {
        let bench = try Bench()
        let responder = try Responder(bench.frontend, device: bench.device, body: [2, 0, 0, 0, 0, 0, 0, 0])
        defer { responder.end() }
        #expect(try bench.client.write(.root, 1, [1, 2]) == 2)
        #expect(throws: Errno.EPROTO) { try bench.client.write(.root, 1, [1]) }
    }
}
