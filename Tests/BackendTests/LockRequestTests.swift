// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// T19: a lock that must wait holds up nothing, and whatever ends the wait answers it.
@Suite struct LockRequestTests {
    private func lock(_ type: Int32, _ start: UInt64 = 0, _ end: UInt64 = UInt64(Int64.max)) -> FileLock {
        var lock = FileLock()
        (lock.start, lock.end, lock.type, lock.pid) = (start, end, UInt32(type), 1)
        return lock
    }

    private struct Fixture {
        let host: HostRig
        let guest: FuseClient
        let node: NodeID
        let first: UInt64
        let second: UInt64
    }

    private func fixture(posix: Bool = true, flock: Bool = true) throws -> Fixture {
        let host = try HostRig {
            $0.posixLock = posix
            $0.flock = flock
        }
        try host.write("file", "0123456789")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        return Fixture(
            host: host, guest: guest, node: file.node,
            first: try guest.open(file.node, flags: Open.readWrite).handle,
            second: try guest.open(file.node, flags: Open.readWrite).handle)
    }

    /// Holds `type` from outside, as a process of the host does.
    private func hostLock(_ fixture: Fixture, _ type: Int32) throws -> OwnedDescriptor {
        let file = OwnedDescriptor(adopting: try check(open(fixture.host.path("file"), O_RDWR)))
        var lock = flock()
        lock.l_type = Int16(type)
        try check(vfs_fcntl_lock(file.rawValue, F_OFD_SETLK, &lock))
        return file
    }

    private func wait(_ f: Fixture, _ handle: UInt64, owner: UInt64, _ type: Int32, flags: UInt32 = 0) throws
        -> FuseClient.Pending
    {
        let pending = try f.guest.submit(
            FuseClient.lockRequest(.setlkw, f.node, handle, owner: owner, lock(type), lockFlags: flags))
        // The same queue serves others meanwhile.
        for _ in 0..<3 { _ = try f.guest.getattr(f.node) }
        return pending
    }

    @Test func locksAreOffByDefault() throws {
        let f = try fixture(posix: false, flock: false)
        #expect(f.guest.agreedFlags & (InitFlags.posixLocks | InitFlags.flockLocks) == 0)
        #expect(throws: (any Error).self) { try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK)) }
        #expect(throws: (any Error).self) {
            try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK), lockFlags: LockIn.flock)
        }
    }

    @Test func setlkAndGetlk() throws {
        let f = try fixture()
        #expect(f.guest.agreedFlags & InitFlags.posixLocks != 0)
        #expect(f.guest.agreedFlags & InitFlags.flockLocks != 0)
        #expect(try f.guest.getlk(f.node, f.first, owner: 1, lock(F_WRLCK)).type == UInt32(F_UNLCK))
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK, 2, 4))
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_RDLCK, 2, 4))
        #expect(throws: Errno.EAGAIN) { try f.guest.setlk(f.node, f.second, owner: 2, lock(F_WRLCK, 4, 9)) }
        try f.guest.setlk(f.node, f.second, owner: 2, lock(F_WRLCK, 5, 9))
        let conflict = try f.guest.getlk(f.node, f.second, owner: 2, lock(F_WRLCK))
        #expect(conflict.type == UInt32(F_RDLCK))
        #expect(conflict.start == 2 && conflict.end == 4)
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_UNLCK))
        try f.guest.setlk(f.node, f.second, owner: 2, lock(F_WRLCK))
    }

    /// Real locks: other processes of the host see them, and theirs count.
    @Test func locksAreTheHosts() throws {
        let f = try fixture()
        do {
            let held = try hostLock(f, F_WRLCK)
            #expect(throws: Errno.EAGAIN) { try f.guest.setlk(f.node, f.first, owner: 1, lock(F_RDLCK)) }
            _ = held
        }
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        #expect(throws: Errno.EAGAIN) { _ = try hostLock(f, F_RDLCK) }
        try f.guest.flush(f.node, f.first, lockOwner: 1)
        _ = try hostLock(f, F_WRLCK)
    }

    @Test func aWaiterGetsTheLockWhenItIsFree() throws {
        let f = try fixture()
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        let waiter = try wait(f, f.second, owner: 2, F_WRLCK)
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_UNLCK))
        #expect(try f.guest.receive(waiter).header.error == 0)
        #expect(throws: Errno.EAGAIN) { try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK)) }
    }

    @Test func aWaiterForTheHostGetsTheLockWhenItIsFree() throws {
        let f = try fixture()
        let waiter: FuseClient.Pending
        do {
            let held = try hostLock(f, F_WRLCK)
            waiter = try wait(f, f.second, owner: 2, F_WRLCK)
            _ = held
        }
        #expect(try f.guest.receive(waiter).header.error == 0)
    }

    @Test func interruptCancelsAWaiter() throws {
        let f = try fixture()
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        let waiter = try wait(f, f.second, owner: 2, F_WRLCK)
        try f.guest.interrupt(0xdead_0000)  // nobody's
        try f.guest.interrupt(waiter.unique)
        #expect(try f.guest.receive(waiter).header.error == -EINTR)
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_UNLCK))
        try f.guest.setlk(f.node, f.first, owner: 3, lock(F_WRLCK))
    }

    @Test func manyWaitersAreServedAndCancelled() throws {
        let f = try fixture()
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        let waiters = try (10..<12).map { try wait(f, f.second, owner: $0, F_RDLCK) }
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_UNLCK))
        for waiter in waiters { #expect(try f.guest.receive(waiter).header.error == 0) }
    }

    @Test func stoppingTheRingAnswersTheWaiter() throws {
        let f = try fixture()
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        let waiter = try wait(f, f.second, owner: 2, F_WRLCK)
        let queue = f.guest.frontend.queues[1]
        let base = try f.guest.frontend.stop(queue)
        #expect(queue.outstanding == 1)
        try queue.collect()
        #expect(queue.outstanding == 0, "everything in flight is answered before the reply to GET_VRING_BASE")
        #expect(try f.guest.receive(waiter).header.error == -EINTR)
        try f.guest.frontend.start(queue, base: base)
        _ = try f.guest.getattr(f.node)
    }

    @Test func aFrontendMayVanishWithAWaiter() throws {
        let host: HostRig
        do {
            let f = try fixture()
            host = f.host
            try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
            _ = try wait(f, f.second, owner: 2, F_WRLCK)
        }
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.readWrite).handle
        try guest.setlk(file.node, handle, owner: 5, lock(F_WRLCK))
    }

    @Test func flockLocks() throws {
        let f = try fixture()
        func set(_ handle: UInt64, _ type: Int32) throws {
            try f.guest.setlk(f.node, handle, owner: handle, lock(type), lockFlags: LockIn.flock)
        }
        try set(f.first, F_RDLCK)
        try set(f.second, F_RDLCK)
        #expect(throws: Errno.EAGAIN) { try set(f.first, F_WRLCK) }
        try set(f.first, F_UNLCK)
        try set(f.second, F_UNLCK)
        try set(f.first, F_WRLCK)
        let host = OwnedDescriptor(adopting: try check(open(f.host.path("file"), O_RDWR)))
        let hosts = flock(host.rawValue, LOCK_EX | LOCK_NB)
        #expect(hosts == -1)
        let waiter = try wait(f, f.second, owner: 2, F_WRLCK, flags: LockIn.flock)
        // Closing the file lets go of its lock.
        try f.guest.release(f.node, f.first, releaseFlags: ReleaseIn.flockUnlock, lockOwner: f.first)
        #expect(try f.guest.receive(waiter).header.error == 0)
    }

    @Test func closingLetsGoOfPosixLocks() throws {
        let f = try fixture()
        try f.guest.setlk(f.node, f.first, owner: 1, lock(F_WRLCK))
        let waiter = try wait(f, f.second, owner: 2, F_WRLCK)
        try f.guest.flush(f.node, f.first, lockOwner: 1)
        #expect(try f.guest.receive(waiter).header.error == 0)
    }
}
