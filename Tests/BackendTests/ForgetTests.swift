// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import HostOS
import Synchronization
import Testing

@testable import FuseServer

/// FORGETs wake nobody more than they must, and always come back.
@Suite struct ForgetTests {
    private func forget(_ guest: FuseClient) throws -> FuseClient.Pending {
        var argument = ForgetIn()
        argument.count = 1
        var request = FuseRequest(.forget, NodeID(rawValue: 2), argument)
        request.replyBodyByteCount = nil
        return try guest.submit(request, queue: 0)
    }

    private func rig(eventIndex: Bool) throws -> (Rig, FuseClient) {
        let rig = try Rig(share: NullShare())
        var options = FrontendOptions()
        options.queueSize = 128
        options.depth = 128
        options.features = [.version1, .indirectDescriptors]
        if eventIndex { options.features.insert(.eventIndex) }
        return (rig, try rig.guest(options))
    }

    /// Nothing else is asked of the device: they are not left lying.
    @Test(arguments: [true, false]) func theyComeBackWithoutARequestBehindThem(eventIndex: Bool) throws {
        let (rig, guest) = try rig(eventIndex: eventIndex)
        for count in [1, 2, 15, 16, 17, 40] {
            let pending = try (0..<count).map { _ in try forget(guest) }
            // This sleeps until the device interrupts.
            for one in pending { _ = try guest.receive(one) }
        }
        rig.end()
    }

    /// One interrupt for many, while requests keep the worker busy.
    @Test func theyInterruptSeldom() throws {
        let (rig, guest) = try rig(eventIndex: true)
        let queue = guest.frontend.queues[0]
        var interrupts = 0
        var sent: [FuseClient.Pending] = []
        _ = queue.chains.armInterrupts()
        for _ in 0..<96 {
            sent.append(try forget(guest))
            _ = try guest.getattr(NodeID(rawValue: 2))
            if waitReadable(queue.call.descriptor.rawValue, timeoutMilliseconds: 0) != 0 {
                queue.call.clear()
                interrupts += 1
                try queue.collect()
                _ = queue.chains.armInterrupts()
            }
        }
        for one in sent { _ = try guest.receive(one) }
        #expect(interrupts < 48, "\(interrupts) interrupts for 96 FORGETs")
        rig.end()
    }

    /// The ring is full of FORGETs again and again.
    @Test func aFullRingIsEmptied() throws {
        let (rig, guest) = try rig(eventIndex: true)
        var pending: [FuseClient.Pending] = []
        for _ in 0..<1000 {
            if pending.count == 128 {
                for one in pending { _ = try guest.receive(one) }
                pending.removeAll()
            }
            pending.append(try forget(guest))
        }
        for one in pending { _ = try guest.receive(one) }
        rig.end()
    }

    /// A share whose first GETATTR waits until it is told to go on, and which notes what is asked of it.
    private final class NotingShare: FileSystemShare {
        let gate: OwnedDescriptor
        let requests = Mutex<[Opcode]>([])

        init() throws(Errno) { gate = try makeSemaphore() }

        func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem { NotingFS(self) }
        func cancelWaiters() {}
        func disconnect() {}

        /// Returns how many there were before.
        @discardableResult
        func note(_ opcode: Opcode) -> Int {
            requests.withLock {
                $0.append(opcode)
                return $0.count - 1
            }
        }
    }

    private final class NotingFS: NullFS {
        private let share: NotingShare

        init(_ share: NotingShare) { self.share = share }

        override func forget(_ nodeID: NodeID, count: UInt64) { share.note(.forget) }
        override func getattr(
            _ caller: Caller, nodeID: NodeID, handle: HandleID?
        ) throws(Errno) -> AttrOut {
            if share.note(.getattr) == 0 { waitSemaphore(share.gate.rawValue) }
            return try super.getattr(caller, nodeID: nodeID, handle: handle)
        }
    }

    /// Requests that never end do not keep FORGETs waiting, and with them the descriptors of what is gone.
    @Test func theyAreTakenAmongRequests() throws {
        let share = try NotingShare()
        let rig = try Rig(share: share)
        var options = FrontendOptions()
        options.queueSize = 128
        options.depth = 128
        let guest = try rig.guest(options)
        var request = FuseRequest(.getattr, NodeID(rawValue: 2), GetAttrIn())
        request.replyBodyByteCount = MemoryLayout<AttrOut>.size
        var pending = [try guest.submit(request)]
        #expect(eventually { share.requests.withLock { $0.count } == 1 })
        for _ in 0..<40 { pending.append(try guest.submit(request)) }
        for _ in 0..<16 { pending.append(try forget(guest)) }
        postSemaphore(share.gate.rawValue, 1)
        for one in pending { _ = try guest.receive(one) }
        let first = share.requests.withLock { $0.firstIndex(of: .forget) } ?? .max
        #expect(first <= 8, "the first FORGET came after \(first) of 41 requests")
        rig.end()
    }
}
