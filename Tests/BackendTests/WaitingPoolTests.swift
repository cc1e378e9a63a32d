// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS
import Synchronization
import Testing

@testable import Backend
@testable import FuseServer

/// Requests that wait for a disk leave their worker, and come back.
@Suite struct WaitingPoolTests {
    /// A share whose FSYNC takes until `gate` is opened once for each, and is nothing for a file system that may not wait.
    private final class SlowShare: FileSystemShare {
        let gate: OwnedDescriptor
        let waiting = Atomic<Int>(0)

        init() throws(Errno) { gate = try makeSemaphore() }

        func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem { SlowFS(self, mayWait: mayWait) }
        func cancelWaiters() {}
        func disconnect() {}

        func open(_ count: Int) { postSemaphore(gate.rawValue, count) }
    }

    private final class SlowFS: NullFS {
        private let share: SlowShare
        private let mayWait: Bool

        init(_ share: SlowShare, mayWait: Bool) {
            self.share = share
            self.mayWait = mayWait
        }

        override func fsync(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
            guard mayWait else { throw .mustWait }
            share.waiting.add(1, ordering: .relaxed)
            waitSemaphore(share.gate.rawValue)
            share.waiting.subtract(1, ordering: .relaxed)
            if arguments.flags & FsyncIn.dataOnly != 0 { throw .EDQUOT }
        }
    }

    private let null = NodeID(rawValue: 2)

    private func fsync(dataOnly: Bool = false) -> FuseRequest {
        var arguments = FsyncIn()
        arguments.handle = 7
        arguments.flags = dataOnly ? FsyncIn.dataOnly : 0
        var request = FuseRequest(.fsync, null, arguments)
        request.replyBodyByteCount = 0
        return request
    }

    @Test func theQueueGoesOnMeanwhile() throws {
        let share = try SlowShare()
        let client = try Rig(share: share).keeping { try $0.guest() }
        let slow = try client.guest.submit(fsync())
        let failing = try client.guest.submit(fsync(dataOnly: true))
        #expect(eventually { share.waiting.load(ordering: .relaxed) == 2 })
        for _ in 0..<10 { _ = try client.guest.getattr(null) }
        share.open(2)
        let reply = try client.guest.receive(slow)
        #expect(reply.header.error == 0 && reply.body.isEmpty)
        #expect(try client.guest.receive(failing).header.error == -Errno.EDQUOT.rawValue)
    }

    @Test func moreWaitThanThereAreThreads() throws {
        let share = try SlowShare()
        var options = FrontendOptions()
        options.depth = 40
        let client = try Rig(share: share).keeping { try $0.guest(options) }
        let limit = DeviceConfiguration(tag: nil, requestQueueCount: 1).waitingThreadCount
        let pending = try (0..<(2 * limit + 3)).map { _ in try client.guest.submit(fsync()) }
        #expect(eventually { share.waiting.load(ordering: .relaxed) == limit })
        _ = try client.guest.getattr(null)
        share.open(pending.count)
        for one in pending { #expect(try client.guest.receive(one).header.error == 0) }
        #expect(share.waiting.load(ordering: .relaxed) == 0)
    }

    /// GET_VRING_BASE answers when nothing is in flight any more.
    @Test func stoppingTheRingWaitsForThem() throws {
        let share = try SlowShare()
        let client = try Rig(share: share).keeping { try $0.guest() }
        let frontend = client.guest.frontend
        let slow = try client.guest.submit(fsync())
        #expect(eventually { share.waiting.load(ordering: .relaxed) == 1 })
        let opener = try Thread(name: "opener") {
            _ = waitReadable(-1, timeoutMilliseconds: 50)
            share.open(1)
        }
        #expect(try frontend.stop(frontend.queues[1]) == 2)  // INIT and the FSYNC
        #expect(share.waiting.load(ordering: .relaxed) == 0)
        opener.join()
        #expect(try client.guest.receive(slow).header.error == 0)
    }

    /// The front-end goes away with requests under way: they end, and the next one finds a working device.
    @Test func theyOutliveTheirFrontend() throws {
        let share = try SlowShare()
        let rig = try Rig(share: share)
        do {
            let guest = try rig.guest()
            for _ in 0..<3 { _ = try guest.submit(fsync()) }
            #expect(eventually { share.waiting.load(ordering: .relaxed) == 3 })
        }
        share.open(3)
        let guest = try rig.guest()
        _ = try guest.getattr(null)
        share.open(1)
        #expect(try guest.receive(guest.submit(fsync())).header.error == 0)
    }
}

/// A guest and the daemon that it must not outlive.
private struct Kept {
    let rig: Rig
    let guest: FuseClient
}

extension Rig {
    fileprivate func keeping(_ make: (Rig) throws -> FuseClient) rethrows -> Kept {
        Kept(rig: self, guest: try make(self))
    }
}
