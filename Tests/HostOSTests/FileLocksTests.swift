// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

/// Two open file descriptions of one unnamed file.
final class TwoDescriptions {
    let first: OwnedDescriptor
    let second: OwnedDescriptor

    init() throws {
        let file = try makeMemoryFile(name: "locks", byteCount: 100)
        let path = "/proc/self/fd/\(file.rawValue)"
        second = OwnedDescriptor(adopting: try systemCall { () -> Int32 in open(path, O_RDWR | O_CLOEXEC) })
        first = file
    }
}

@Suite struct FileLocksTests {
    @Test func recordLocksOfTwoDescriptionsConflict() throws {
        let files = try TwoDescriptions()
        let write = DescriptionLock.record(type: Int16(F_WRLCK), start: 10, length: 5)
        try write.set(on: files.first.rawValue)
        #expect(throws: Errno.EAGAIN) { try write.set(on: files.second.rawValue) }
        let beside = DescriptionLock.record(type: Int16(F_WRLCK), start: 15, length: 0)
        try beside.set(on: files.second.rawValue)
        let found = try #require(
            try DescriptionLock.record(type: Int16(F_RDLCK), start: 0, length: 0)
                .conflict(on: files.second.rawValue))
        #expect(found.type == Int16(F_WRLCK) && found.start == 10 && found.length == 5)
        try DescriptionLock.record(type: Int16(F_UNLCK), start: 0, length: 0).set(on: files.first.rawValue)
        try write.set(on: files.second.rawValue)
    }

    @Test func noConflictIsNil() throws {
        let files = try TwoDescriptions()
        let question = DescriptionLock.record(type: Int16(F_WRLCK), start: 0, length: 0)
        #expect(try question.conflict(on: files.first.rawValue) == nil)
        #expect(throws: Errno.EINVAL) {
            _ = try DescriptionLock.whole(LOCK_EX).conflict(on: files.first.rawValue)
        }
    }

    @Test func wholeFileLocksOfTwoDescriptionsConflict() throws {
        let files = try TwoDescriptions()
        try DescriptionLock.whole(LOCK_SH).set(on: files.first.rawValue)
        try DescriptionLock.whole(LOCK_SH).set(on: files.second.rawValue)
        #expect(throws: Errno.EAGAIN) { try DescriptionLock.whole(LOCK_EX).set(on: files.second.rawValue) }
        try DescriptionLock.whole(LOCK_UN).set(on: files.first.rawValue)
        try DescriptionLock.whole(LOCK_EX).set(on: files.second.rawValue)
    }

    @Test(arguments: [DescriptionLock.record(type: Int16(F_WRLCK), start: 0, length: 0), .whole(LOCK_EX)])
    func aWaitEndsWhenTheHolderUnlocks(lock: DescriptionLock) throws {
        let files = try TwoDescriptions()
        try lock.set(on: files.first.rawValue)
        let waiting = files.second.rawValue
        let outcome = Mutex<Errno?>(.EIO)
        let thread = try Thread(name: "waiter") {
            do throws(Errno) {
                try lock.wait(on: waiting)
                outcome.withLock { $0 = nil }
            } catch {
                outcome.withLock { $0 = error }
            }
        }
        try DescriptionLock.record(type: Int16(F_UNLCK), start: 0, length: 0).set(on: files.first.rawValue)
        try DescriptionLock.whole(LOCK_UN).set(on: files.first.rawValue)
        thread.join()
        #expect(outcome.withLock { $0 } == nil)
        #expect(throws: Errno.EAGAIN) { try lock.set(on: files.first.rawValue) }
    }
}

@Suite struct InterruptTimerTests {
    /// The thread waits for a lock that is never dropped; only the timer can end that.
    @Test(arguments: [DescriptionLock.record(type: Int16(F_WRLCK), start: 0, length: 0), .whole(LOCK_EX)])
    func aStartedTimerEndsAWait(lock: DescriptionLock) throws {
        try InterruptTimer.install()
        let files = try TwoDescriptions()
        try lock.set(on: files.first.rawValue)
        let waiting = files.second.rawValue
        let outcome = Mutex<Errno?>(nil)
        let thread = try Thread(name: "waiter") {
            do throws(Errno) {
                let timer = try InterruptTimer()
                timer.start()  // before the wait begins: a single signal would be lost
                try lock.wait(on: waiting)
                withExtendedLifetime(timer) {}
            } catch {
                outcome.withLock { $0 = error }
            }
        }
        thread.join()
        #expect(outcome.withLock { $0 } == .EINTR)
    }
}
