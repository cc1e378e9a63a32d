// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Synchronization
import Testing

@testable import HostFS

/// A reply that somebody waits for.
private final class Answer: DeferredReply {
    private let outcome = Mutex<[Errno?]>([])
    private let event: EventFD

    init() { event = try! EventFD() }

    func complete(_ error: Errno?) {
        outcome.withLock { $0.append(error) }
        event.signal()
    }

    var isThere: Bool { outcome.withLock { !$0.isEmpty } }

    /// Waits at most 10 s; nil if it did not come, or came twice.
    func wait() -> Result<Void, Errno>? {
        var waited = pollfd(fd: event.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        guard poll(&waited, 1, 10_000) == 1 else { return nil }
        let all = outcome.withLock { $0 }
        guard all.count == 1 else { return nil }
        return all[0].map { .failure($0) } ?? .success(())
    }

    var error: Errno? {
        guard case .failure(let error) = wait() else { return nil }
        return error
    }

    var succeeded: Bool {
        guard case .success = wait() else { return false }
        return true
    }
}

private final class Answers: DeferralSource {
    private(set) var made: [Answer] = []

    func deferReply() -> any DeferredReply {
        made.append(Answer())
        return made[made.count - 1]
    }
}

private func share() throws -> TestShare {
    let test = try TestShare {
        $0.posixLock = true
        $0.flock = true
    }
    _ = try test.initialize()
    test.write("f", "hello")
    return test
}

extension TestShare {
    fileprivate func lock(
        _ file: (node: NodeID, handle: UInt64), _ type: Int32, owner: UInt64 = 1,
        _ range: ClosedRange<UInt64>? = nil,
        flock: Bool = false, wait: Answers? = nil, unique: UInt64 = 10
    ) throws -> Completion {
        var arguments = lockIn(file.handle, type, owner, range)
        arguments.lockFlags = flock ? LockIn.flock : 0
        var caller = Caller.root
        caller.unique = Unique(rawValue: unique)
        return try request { fs in
            try fs.setlk(
                caller, nodeID: file.node, arguments, wait: wait != nil, deferrals: wait ?? Answers())
        }
    }

    fileprivate func question(
        _ file: (node: NodeID, handle: UInt64), _ type: Int32, owner: UInt64 = 1,
        _ range: ClosedRange<UInt64>? = nil
    ) throws -> FileLock {
        let arguments = lockIn(file.handle, type, owner, range)
        return try request { fs in try fs.getlk(.root, nodeID: file.node, arguments) }
    }

    private func lockIn(_ handle: UInt64, _ type: Int32, _ owner: UInt64, _ range: ClosedRange<UInt64>?)
        -> LockIn
    {
        var arguments = LockIn()
        arguments.handle = handle
        arguments.owner = owner
        arguments.lock.start = range?.lowerBound ?? 0
        arguments.lock.end = range?.upperBound ?? UInt64(Int64.max)
        arguments.lock.type = UInt32(bitPattern: type)
        arguments.lock.pid = 1234
        return arguments
    }

    /// Whether a host process could lock the whole of `name` now.
    fileprivate func hostCanLock(_ name: String) -> Bool {
        let number = Glibc.open(host(name), O_RDWR | O_CLOEXEC)
        defer { Glibc.close(number) }
        return (try? DescriptionLock.record(type: Int16(F_WRLCK), start: 0, length: 0).set(on: number)) != nil
    }
}

@Suite struct RecordLockTests {
    @Test func ownersExcludeEachOtherAndTheHost() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        #expect(try test.lock(file, F_WRLCK, owner: 1, 10...19) == .done)
        #expect(failure { try test.lock(file, F_RDLCK, owner: 2, 19...30) } == .EAGAIN)
        #expect(try test.lock(file, F_RDLCK, owner: 2, 20...30) == .done)
        #expect(try test.lock(file, F_WRLCK, owner: 1, 0...19) == .done)  // its own
        #expect(!test.hostCanLock("f"))
        #expect(try test.lock(file, F_UNLCK, owner: 1) == .done)
        #expect(try test.lock(file, F_RDLCK, owner: 2, 0...30) == .done)
        #expect(try test.lock(file, F_UNLCK, owner: 2) == .done)
        #expect(test.hostCanLock("f"))
    }

    /// Closing one handle must not drop what another owner, or the same by another handle, has locked.
    @Test func locksBelongToTheOwnerAndNotToTheHandle() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        let second = try test.openNode(file.node, O_RDWR).handle
        #expect(try test.lock((file.node, second), F_WRLCK, owner: 1) == .done)
        try test.release(file.node, second)
        #expect(!test.hostCanLock("f"))
        #expect(try test.lock(file, F_RDLCK, owner: 1, 0...5) == .done)
    }

    @Test func questionsAreAnsweredExactly() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        let free = try test.question(file, F_WRLCK, 3...7)
        #expect(free.type == UInt32(F_UNLCK) && free.start == 3 && free.end == 7)
        _ = try test.lock(file, F_WRLCK, owner: 2, 5...9)
        _ = try test.lock(file, F_RDLCK, owner: 3, 100...UInt64(Int64.max))
        let write = try test.question(file, F_RDLCK, 0...50)
        #expect(write.type == UInt32(F_WRLCK) && write.start == 5 && write.end == 9)
        #expect(write.pid == 0)
        let toTheEnd = try test.question(file, F_WRLCK, 50...1000)
        #expect(
            toTheEnd.type == UInt32(F_RDLCK) && toTheEnd.start == 100 && toTheEnd.end == UInt64(Int64.max))
        #expect(try test.question(file, F_RDLCK, 200...300).type == UInt32(F_UNLCK))
        #expect(try test.question(file, F_WRLCK, owner: 2, 5...9).type == UInt32(F_UNLCK))  // one's own
    }

    @Test func nonsenseIsRefused() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        #expect(failure { try test.lock(file, 3) } == .EINVAL)
        #expect(failure { try test.lock(file, -1) } == .EINVAL)
        #expect(failure { try test.lock(file, F_WRLCK, 0...UInt64.max) } == .EINVAL)
        #expect(failure { try test.question(file, F_WRLCK, (1 << 63)...UInt64.max) } == .EINVAL)
        #expect(failure { try test.lock((file.node, 99), F_WRLCK) } == .EBADF)
        var backwards = LockIn()
        backwards.handle = file.handle
        backwards.lock.start = 5
        backwards.lock.end = 4
        #expect(test.error { fs in try fs.getlk(.root, nodeID: file.node, backwards) } == .EINVAL)
        #expect(test.share.lockOwners.isEmpty)
    }

    @Test func flushAndForgettingAndLeavingDropLocks() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        let before = test.share.guestDescriptors
        _ = try test.lock(file, F_WRLCK, owner: 1)
        var arguments = FlushIn()
        arguments.handle = file.handle
        arguments.lockOwner = 2
        try test.request { fs in try fs.flush(.root, nodeID: file.node, arguments) }
        #expect(!test.hostCanLock("f"))
        arguments.lockOwner = 1
        try test.request { fs in try fs.flush(.root, nodeID: file.node, arguments) }
        #expect(test.hostCanLock("f"))
        #expect(test.share.guestDescriptors == before)

        _ = try test.lock(file, F_WRLCK, owner: 1)
        test.forget(file.node)
        #expect(test.hostCanLock("f"))

        let again = try test.opened("f", O_RDWR)
        _ = try test.lock(again, F_WRLCK, owner: 1)
        test.share.disconnect()
        #expect(test.hostCanLock("f") && test.share.lockOwners.isEmpty)
    }

    @Test func ownersAreBounded() throws {
        let owners = LockOwners()
        let quota = DescriptorQuota(limit: 1)
        let file = OwnedDescriptor(adopting: Glibc.open("/dev/null", O_RDWR | O_CLOEXEC))
        let description = try LockDescription(file, quota: quota)
        for owner in 0..<LockOwners.maximum {
            _ = try owners.keep(description, of: .root, owner: UInt64(owner))
        }
        #expect(failure { try owners.keep(description, of: .root, owner: .max) } == .ENOLCK)
        #expect(failure { try LockDescription(duplicating: 0, quota: quota) } == .ENFILE)
        #expect(owners.find(.root, owner: 5) === description)
        owners.drop(.root, owner: 5)
        #expect(owners.find(.root, owner: 5) == nil)
        owners.drop(.root)
        #expect(owners.isEmpty)
    }

    @Test func withoutTheOptionsThereAreNone() throws {
        let test = try TestShare()
        test.write("f")
        let file = try test.opened("f", O_RDWR)
        #expect(failure { try test.lock(file, F_WRLCK) } == .ENOSYS)
        #expect(failure { try test.lock(file, F_WRLCK, flock: true) } == .ENOSYS)
        #expect(failure { try test.question(file, F_WRLCK) } == .ENOSYS)
    }
}

@Suite struct WholeFileLockTests {
    @Test func handlesExcludeEachOther() throws {
        let test = try share()
        let first = try test.opened("f", O_RDONLY)
        let second = (node: first.node, handle: try test.openNode(first.node, O_RDONLY).handle)
        #expect(try test.lock(first, F_RDLCK, flock: true) == .done)
        #expect(try test.lock(second, F_RDLCK, flock: true) == .done)
        #expect(failure { try test.lock(second, F_WRLCK, flock: true) } == .EAGAIN)
        #expect(try test.lock(first, F_UNLCK, flock: true) == .done)
        #expect(try test.lock(second, F_WRLCK, flock: true) == .done)
        #expect(failure { try test.lock(first, 7, flock: true) } == .EINVAL)
    }

    @Test func releaseDropsTheLock() throws {
        let test = try share()
        let first = try test.opened("f", O_RDONLY)
        let second = (node: first.node, handle: try test.openNode(first.node, O_RDONLY).handle)
        _ = try test.lock(first, F_WRLCK, flock: true)
        try test.release(first.node, first.handle, flags: ReleaseIn.flockUnlock)
        #expect(try test.lock(second, F_WRLCK, flock: true) == .done)
    }
}

@Suite struct LockWaiterTests {
    /// T19: the worker that has a waiter is free to handle the unlock.
    @Test(arguments: [false, true])
    func aWaiterDoesNotHoldUpItsWorker(flock: Bool) throws {
        let test = try share()
        let first = try test.opened("f", O_RDWR)
        let second = (node: first.node, handle: try test.openNode(first.node, O_RDWR).handle)
        let answers = Answers()
        #expect(try test.lock(first, F_WRLCK, owner: 1, flock: flock) == .done)
        #expect(try test.lock(second, F_WRLCK, owner: 2, flock: flock, wait: answers) == .deferred)
        #expect(answers.made.count == 1 && !answers.made[0].isThere)
        #expect(try test.lock(first, F_UNLCK, owner: 1, flock: flock) == .done)
        #expect(answers.made[0].succeeded)
        #expect(failure { try test.lock(first, F_WRLCK, owner: 1, flock: flock) } == .EAGAIN)
    }

    @Test func aFreeLockIsNotWaitedFor() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        let answers = Answers()
        #expect(try test.lock(file, F_WRLCK, wait: answers) == .done)
        #expect(answers.made.isEmpty)
    }

    @Test(arguments: [false, true])
    func interruptEndsOneWait(flock: Bool) throws {
        let test = try share()
        let first = try test.opened("f", O_RDWR)
        let second = (node: first.node, handle: try test.openNode(first.node, O_RDWR).handle)
        let third = (node: first.node, handle: try test.openNode(first.node, O_RDWR).handle)
        _ = try test.lock(first, F_WRLCK, owner: 1, flock: flock)
        let answers = Answers()
        _ = try test.lock(second, F_WRLCK, owner: 2, flock: flock, wait: answers, unique: 100)
        _ = try test.lock(third, F_WRLCK, owner: 3, flock: flock, wait: answers, unique: 102)
        test.request { fs in fs.interrupt(Unique(rawValue: 7)) }  // nobody's
        test.request { fs in fs.interrupt(Unique(rawValue: 100)) }
        #expect(answers.made[0].error == .EINTR)
        #expect(!answers.made[1].isThere)
        _ = try test.lock(first, F_UNLCK, owner: 1, flock: flock)
        #expect(answers.made[1].succeeded)
    }

    @Test func drainingEndsEveryWaitAndTheirNumberIsBounded() throws {
        let test = try share()
        let file = try test.opened("f", O_RDWR)
        _ = try test.lock(file, F_WRLCK, owner: 1)
        let answers = Answers()
        for index in 0..<LockWaiters.maximum {
            _ = try test.lock(file, F_RDLCK, owner: 2, wait: answers, unique: UInt64(index) * 2)
        }
        #expect(failure { try test.lock(file, F_RDLCK, owner: 2, wait: answers) } == .ENOLCK)
        #expect(answers.made.count == LockWaiters.maximum)
        test.share.cancelWaiters()
        for answer in answers.made { #expect(answer.error == .EINTR) }
        // The places are free again.
        #expect(try test.lock(file, F_RDLCK, owner: 2, wait: answers) == .deferred)
        test.share.disconnect()
        #expect(answers.made[LockWaiters.maximum].error == .EINTR)
    }

    /// The waiter's own duplicate keeps the open file description; the lock must not outlive the wait.
    @Test func aHandleMayGoWhileItsLockIsAwaited() throws {
        let test = try share()
        let first = try test.opened("f", O_RDWR)
        let second = (node: first.node, handle: try test.openNode(first.node, O_RDWR).handle)
        let third = (node: first.node, handle: try test.openNode(first.node, O_RDWR).handle)
        _ = try test.lock(first, F_WRLCK, flock: true)
        let answers = Answers()
        _ = try test.lock(second, F_WRLCK, flock: true, wait: answers)
        try test.release(second.node, second.handle, flags: ReleaseIn.flockUnlock)
        _ = try test.lock(first, F_UNLCK, flock: true)
        #expect(answers.made[0].succeeded)
        // The last descriptor is closed when the waiter's thread has been joined.
        test.share.lockWaiters.finish()
        #expect(try test.lock(third, F_WRLCK, flock: true) == .done)
    }
}
