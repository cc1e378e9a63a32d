// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import GuestMemory
import HostOS
import StateArena
import Synchronization
import Testing
import VhostUser
import Virtqueue

@testable import Backend
@testable import FuseServer

/// READs that an io_uring carries out while their worker goes on: of a pipe, so that a test says when they end.
@Suite(.enabled(if: ioUringIsAllowed, "needs io_uring of Linux 6.1")) final class WaitingReadsTests {
    /// Every READ is of the same pipe; one that has to be carried out by a thread finds the end of the file.
    final class PipeShare: FileSystemShare {
        private let pipe: Mutex<Pipe?>
        private let writer: Mutex<Int32>
        /// READs that were taken over, and that threads have carried out.
        let taken = Atomic<Int>(0)
        let onThreads = Atomic<Int>(0)

        init() throws(Errno) {
            let pipe = try Pipe()
            writer = Mutex(try pipe.writeEnd.duplicate().release())
            self.pipe = Mutex(pipe)
        }

        func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem { PipeFS(self, mayWait: mayWait) }
        func cancelWaiters() {}
        func disconnect() {}

        func take(_ byteCount: Int, by deferrals: any DeferralSource) -> Bool {
            pipe.withLock { pipe in
                guard let pipe else { return false }
                return deferrals.take(
                    HostRead(descriptor: pipe.readEnd.rawValue, offset: 0, byteCount: byteCount))
            }
        }

        /// What RELEASE does with a file.
        func close() { pipe.withLock { $0 = nil } }

        func write(_ bytes: [UInt8]) throws { try writer.withLock { try Files.writeAll($0, bytes) } }

        /// Every read ends.
        func end() {
            close()
            writer.withLock { writer in
                if writer >= 0 { _ = OwnedDescriptor(adopting: writer) }
                writer = -1
            }
        }
    }

    private final class PipeFS: NullFS {
        private let share: PipeShare
        private let mayWait: Bool

        init(_ share: PipeShare, mayWait: Bool) {
            self.share = share
            self.mayWait = mayWait
        }

        override func read(
            _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into data: DataVector,
            deferrals: any DeferralSource
        ) throws(Errno) -> Int {
            if mayWait {
                share.onThreads.add(1, ordering: .relaxed)
                return 0
            }
            if share.take(data.byteCount, by: deferrals) { share.taken.add(1, ordering: .relaxed) }
            throw .mustWait
        }
    }

    private let null = NodeID(rawValue: 2)
    private let share: PipeShare
    private let rig: Rig

    init() throws {
        share = try PipeShare()
        rig = try Rig(share: share)
    }

    deinit { share.end() }

    private func read(_ size: Int = 8) -> FuseRequest {
        FuseClient.readRequest(.read, null, 7, offset: 0, size: size)
    }

    /// Sends `count` READs and waits until they wait.
    private func begin(_ count: Int, size: Int = 8, _ guest: FuseClient) throws -> [FuseClient.Pending] {
        let before = share.taken.load(ordering: .relaxed)
        let pending = try (0..<count).map { _ in try guest.submit(read(size)) }
        try #require(eventually { share.taken.load(ordering: .relaxed) == before + count })
        return pending
    }

    @Test func theQueueGoesOnMeanwhile() throws {
        let guest = try rig.guest()
        let pending = try begin(3, guest)
        for _ in 0..<10 { _ = try guest.getattr(null) }
        #expect(guest.frontend.queues[1].outstanding == 3)
        try share.write(Array("abcdefghabcdefghabcdefgh".utf8))
        for one in pending {
            let reply = try guest.receive(one)
            #expect(reply.header.error == 0 && reply.body == Array("abcdefgh".utf8))
        }
        #expect(share.onThreads.load(ordering: .relaxed) == 0)
    }

    /// A RELEASE may close the file while the kernel reads it.
    @Test func theyOutliveTheirDescriptor() throws {
        let guest = try rig.guest()
        let pending = try begin(2, guest)
        share.close()
        try share.write(Array("1234567812345678".utf8))
        for one in pending { #expect(try guest.receive(one).body == Array("12345678".utf8)) }
    }

    /// More than the ring takes: the others have threads.
    @Test func theOthersHaveThreads() throws {
        var options = FrontendOptions()
        options.depth = ReadRing.capacity + 10
        let guest = try rig.guest(options)
        let pending = try begin(ReadRing.capacity, guest)
        let others = try (0..<10).map { _ in try guest.submit(read()) }
        for one in others { #expect(try guest.receive(one).body == []) }
        #expect(share.onThreads.load(ordering: .relaxed) == 10)
        try share.write([UInt8](repeating: 3, count: 8 * ReadRing.capacity))
        for one in pending { #expect(try guest.receive(one).body.count == 8) }
        let next = try begin(1, guest)[0]
        try share.write([UInt8](repeating: 4, count: 8))
        #expect(try guest.receive(next).body == [UInt8](repeating: 4, count: 8))
    }

    /// A read that ends where a file need not end is none to answer with.
    @Test func whatMayGoOnIsReadAgain() throws {
        let guest = try rig.guest()
        let short = try begin(1, size: 4096, guest)[0]
        try share.write([UInt8](repeating: 1, count: 511))
        #expect(try guest.receive(short).body.count == 511)
        #expect(share.onThreads.load(ordering: .relaxed) == 0)
        let open = try begin(1, size: 4096, guest)[0]
        try share.write([UInt8](repeating: 1, count: 512))
        #expect(try guest.receive(open).body == [])
        #expect(share.onThreads.load(ordering: .relaxed) == 1)
    }

    /// GET_VRING_BASE answers when nothing is in flight any more.
    @Test func stoppingTheRingWaitsForThem() throws {
        let guest = try rig.guest()
        let frontend = guest.frontend
        let pending = try begin(2, guest)
        let share = self.share
        let writer = try Thread(name: "writer") {
            _ = waitReadable(-1, timeoutMilliseconds: 50)
            try? share.write([UInt8](repeating: 5, count: 16))
        }
        #expect(try frontend.stop(frontend.queues[1]) == 3)  // INIT and the READs
        for one in pending { #expect(try guest.receive(one).body == [UInt8](repeating: 5, count: 8)) }
        writer.join()
    }

    @Test func theyOutliveTheirFrontend() throws {
        do {
            let guest = try rig.guest()
            _ = try begin(3, guest)
        }
        try share.write([UInt8](repeating: 5, count: 24))
        let guest = try rig.guest()
        let one = try begin(1, guest)[0]
        try share.write([UInt8](repeating: 6, count: 8))
        #expect(try guest.receive(one).body == [UInt8](repeating: 6, count: 8))
    }

    /// The memory of the reply goes, and the guest overwrites its request: the read ends where it began.
    @Test func memoryGoesMeanwhile() throws {
        let guest = try rig.guest()
        let frontend = guest.frontend
        let queue = frontend.queues[1]
        let plugged = try GuestRAM(byteCount: 1 << 16, guestBase: 1 << 40, userBase: 0x7f00_0000_0000)
        try frontend.session.addMemoryRegion(plugged.regions[0], file: plugged.file)
        var request = read()
        request.header.unique = 4711
        request.setLengths()
        let bytes = request.message.bytes
        let (base, reply) = (GuestAddress(1 << 40), GuestAddress(1 << 40 + 4096))
        try plugged.write(bytes.span, at: base)
        let ticket = try queue.enqueue(
            readable: [GuestBuffer(base, byteCount: UInt32(bytes.count))],
            writable: [
                GuestBuffer(reply, byteCount: 10), GuestBuffer(reply.advanced(by: 10)!, byteCount: 14),
            ])
        queue.notify()
        try #require(eventually { share.taken.load(ordering: .relaxed) == 1 })

        let garbage = [UInt8](repeating: 0xff, count: bytes.count)
        try plugged.write(garbage.span, at: base)
        try frontend.session.removeMemoryRegion(plugged.regions[0])
        _ = try guest.getattr(null)
        try share.write(Array("abcdefgh".utf8))
        #expect(try queue.wait(for: ticket, until: Deadline(milliseconds: 10_000)).written == 24)
        let answer = try plugged.read(24, at: reply)
        let header = try #require(wireValue(OutHeader.self, from: answer))
        #expect(header.unique == 4711 && header.length == 24 && header.error == 0)
        #expect(Array(answer[16...]) == Array("abcdefgh".utf8))
        _ = try guest.getattr(null)
    }

    @Test func withoutARingTheyHaveThreads() throws {
        let rig = try Rig(share: share, mayUseIOUring: false)
        let guest = try rig.guest()
        for _ in 0..<3 { #expect(try guest.receive(guest.submit(read())).body == []) }
        #expect(share.taken.load(ordering: .relaxed) == 0)
        #expect(share.onThreads.load(ordering: .relaxed) == 3)
    }

    @Test func theHostIsAskedOnce() throws {
        let wake = try EventFD()
        #expect(ReadRingPermission(true).makeRing(event: wake.descriptor.rawValue) != nil)
        #expect(ReadRingPermission(false).makeRing(event: wake.descriptor.rawValue) == nil)
        let permission = ReadRingPermission(true)
        #expect(permission.makeRing(event: -1) == nil)
        #expect(permission.makeRing(event: wake.descriptor.rawValue) == nil, "it has refused one")
    }
}

/// Whether this machine lets us have a ring.
let ioUringIsAllowed: Bool = {
    guard let event = try? EventFD() else { return false }
    return (try? ReadRing(event: event.descriptor.rawValue)) != nil
}()
