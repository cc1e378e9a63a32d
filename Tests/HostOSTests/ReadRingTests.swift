// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

/// Whether this machine lets us have one; what is done where it does not, BackendTests asks.
private let isAllowed: Bool = {
    guard let event = try? EventFD() else { return false }
    return (try? ReadRing(event: event.descriptor.rawValue)) != nil
}()

@Suite(.enabled(if: isAllowed, "needs io_uring of Linux 6.1")) struct ReadRingTests {
    /// A ring, its event, and room to read into: 8 bytes for each token.
    private final class Reader {
        let event: EventFD
        let ring: ReadRing
        private let room = UnsafeMutablePointer<UInt64>.allocate(capacity: ReadRing.capacity + 1)

        init() throws {
            event = try EventFD()
            ring = try ReadRing(event: event.descriptor.rawValue)
            room.initialize(repeating: 0, count: ReadRing.capacity + 1)
        }

        deinit { room.deallocate() }

        func start(_ file: Int32, at offset: Int = 0, token: Int, count: Int = 8) throws {
            var vector = iovec(iov_base: room + token, iov_len: count)
            try ring.start(file, &vector, count: 1, at: offset, token: UInt64(token))
        }

        func bytes(_ token: Int) -> [UInt8] { withUnsafeBytes(of: room[token]) { Array($0) } }

        /// Sleeps until a read has ended; nil after ten seconds.
        func next() -> ReadRing.Completion? {
            let deadline = Deadline(milliseconds: 10_000)
            while !deadline.hasPassed {
                if let completion = ring.next() { return completion }
                if ring.awaitCompletions() { continue }
                if waitReadable(
                    event.descriptor.rawValue, timeoutMilliseconds: deadline.remainingMilliseconds) != 0
                {
                    event.clear()
                }
            }
            return nil
        }
    }

    private struct Ends: ~Copyable {
        let read: OwnedDescriptor
        let write: OwnedDescriptor

        init() throws(Errno) {
            var ends: [Int32] = [-1, -1]
            _ = try systemCall { pipe2(&ends, O_CLOEXEC) }
            read = OwnedDescriptor(adopting: ends[0])
            write = OwnedDescriptor(adopting: ends[1])
        }
    }

    @Test(arguments: ["/tmp", "/dev/shm"]) func filesAreRead(directory: String) throws {
        let file = OwnedDescriptor(
            adopting: try systemCall { open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600) })
        try Files.writeAll(file.rawValue, (0..<(1 << 16)).map { UInt8(truncatingIfNeeded: $0 / 8) })
        _ = fsync(file.rawValue)
        _ = posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
        let reader = try Reader()
        for token in 0..<16 { try reader.start(file.rawValue, at: token * 4096 + 8 * token, token: token) }
        #expect(reader.ring.underWay == 16)
        for _ in 0..<16 {
            let completion = try #require(reader.next())
            let token = Int(completion.token)
            #expect(completion.result == 8)
            #expect(reader.bytes(token) == [UInt8](repeating: UInt8(token * 513 % 256), count: 8))
        }
        #expect(reader.ring.underWay == 0 && reader.ring.next() == nil)
        // Short at the end of the file, and nothing behind it.
        try reader.start(file.rawValue, at: 1 << 16 - 3, token: 0)
        #expect(reader.next()?.result == 3)
        try reader.start(file.rawValue, at: 1 << 20, token: 0)
        #expect(reader.next()?.result == 0)
    }

    @Test func errorsAreResults() throws {
        let reader = try Reader()
        let directory = OwnedDescriptor(adopting: try systemCall { open("/", O_RDONLY | O_CLOEXEC) })
        try reader.start(directory.rawValue, token: 1)
        #expect(reader.next()?.result == -EISDIR)
        try reader.start(-1, token: 2)
        let completion = try #require(reader.next())
        #expect(completion.result == -EBADF && completion.token == 2)
    }

    /// Nobody is woken who is not about to sleep.
    @Test func theEventIsSignalledForWhoAwaitsIt() throws {
        let reader = try Reader()
        let pipe = try Ends()
        let event = reader.event.descriptor.rawValue
        try reader.start(pipe.read.rawValue, token: 0)
        #expect(reader.ring.next() == nil)
        try Files.writeAll(pipe.write.rawValue, [UInt8](repeating: 1, count: 8))
        #expect(reader.next()?.result == 8)
        #expect(waitReadable(event, timeoutMilliseconds: 0) == 0)

        try reader.start(pipe.read.rawValue, token: 0)
        #expect(!reader.ring.awaitCompletions())
        #expect(waitReadable(event, timeoutMilliseconds: 0) == 0)
        try Files.writeAll(pipe.write.rawValue, [UInt8](repeating: 2, count: 8))
        #expect(waitReadable(event, timeoutMilliseconds: 10_000) == 1)
        reader.event.clear()
        #expect(reader.ring.hasCompletions)
        #expect(reader.ring.next()?.result == 8)
        #expect(waitReadable(event, timeoutMilliseconds: 0) == 0)
    }

    @Test func aReadOutlivesItsDescriptor() throws {
        let reader = try Reader()
        let pipe = try Ends()
        do {
            let closed = try pipe.read.duplicate()
            try reader.start(closed.rawValue, token: 3)
        }
        try Files.writeAll(pipe.write.rawValue, Array("12345678".utf8))
        #expect(reader.next()?.token == 3)
        #expect(reader.bytes(3) == Array("12345678".utf8))
    }

    @Test func aFullRingSaysSo() throws {
        let reader = try Reader()
        let pipe = try Ends()
        // Both indices wrap, and each entry is used several times.
        for _ in 0..<5 {
            for token in 0..<ReadRing.capacity { try reader.start(pipe.read.rawValue, token: token) }
            #expect(throws: Errno.EBUSY) {
                try reader.start(pipe.read.rawValue, token: ReadRing.capacity)
            }
            try Files.writeAll(pipe.write.rawValue, [UInt8](repeating: 7, count: 8 * ReadRing.capacity))
            var seen = Set<UInt64>()
            while seen.count < ReadRing.capacity, let completion = reader.next() {
                #expect(completion.result == 8)
                seen.insert(completion.token)
            }
            #expect(seen.count == ReadRing.capacity)
        }
    }

    @Test func itMayEndWithReadsUnderWay() throws {
        let pipe = try Ends()
        do {
            let reader = try Reader()
            for token in 0..<10 { try reader.start(pipe.read.rawValue, token: token) }
        }
        try Files.writeAll(pipe.write.rawValue, [1])
    }

    /// The kernel holds it to reads: nothing can be added to it, not even for its own thread.
    @Test func aRingTakesNothingMore() throws {
        func rings() throws -> [Int32] {
            try Files.names(in: "/proc/self/fd").filter { name in
                var target = [CChar](repeating: 0, count: 64)
                let count = readlink("/proc/self/fd/\(name)", &target, target.count)
                let bytes = target.prefix(max(0, count)).map(UInt8.init(bitPattern:))
                return String(decoding: bytes, as: UTF8.self) == "anon_inode:[io_uring]"
            }.compactMap { Int32($0) }
        }
        let reader = try Reader()
        // Of all rings, because tests beside this one have some too.
        var refusals: [Int32] = []
        for ring in try rings() {
            #expect(vfs_uring_register_event(ring, reader.event.descriptor.rawValue) == -1)
            refusals.append(errno)
        }
        #expect(refusals.contains(EACCES), "ours")
        // Another thread's, or gone meanwhile.
        #expect(refusals.allSatisfy { [EACCES, EEXIST, EBADF].contains($0) })
    }
}
