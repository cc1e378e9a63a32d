// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import GuestMemory
import HostFS
import HostOS
import Testing

/// READs of what is not in the host's page cache, and of O_DIRECT: the right bytes, by whichever way they come.
@Suite struct ColdReadTests {
    /// No two blocks are alike, and the last is no whole one.
    private static let content: [UInt8] = (0..<(1 << 20 + 1234)).map {
        UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13 ^ $0 >> 12)
    }
    private static let byteCount = content.count

    /// What the file has from `offset` on.
    private static func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
        offset < byteCount ? Array(content[offset..<min(offset + count, byteCount)]) : []
    }

    private struct Case: CustomTestStringConvertible {
        var parent = "/tmp"
        var mayUseIOUring = true
        var setup = Setup()
        var testDescription: String { "\(parent), io_uring \(mayUseIOUring), \(setup.testDescription)" }

        static let all = [
            Case(), Case(parent: "/dev/shm"), Case(mayUseIOUring: false),
            Case(setup: Setup(queues: 4, eventIndex: false, indirect: false)),
            Case(setup: Setup(framing: .scattered)),
        ]
    }

    private func host(_ one: Case) throws -> HostRig {
        let host = try HostRig(one.setup, in: one.parent, mayUseIOUring: one.mayUseIOUring) {
            $0.allowDirectIO = true
        }
        try host.write("file", Self.content)
        try dropFromCache(host.path("file"))
        return host
    }

    @Test(arguments: Case.all) private func manyAtOnce(_ one: Case) throws {
        let host = try host(one)
        var options = one.setup.options
        options.depth = 48
        let guest = FuseClient(try host.rig.connect(options))
        for queue in guest.frontend.queues { queue.framing = one.setup.framing }
        guest.rotatesQueues = true
        _ = try guest.initialize()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read).handle
        for round in 0..<4 {
            if round % 2 == 0 { try dropFromCache(host.path("file")) }
            // Some behind the end, one over it.
            let places = (0..<40).map { index in
                (offset: (index &* 7919 &+ round &* 31) % 270 * 4096, size: index % 5 == 0 ? 65536 : 4096)
            }
            let pending = try places.map { place in
                try guest.submit(
                    FuseClient.readRequest(
                        .read, file, handle, offset: UInt64(place.offset), size: place.size))
            }
            for (place, one) in zip(places, pending) {
                let reply = try guest.receive(one)
                #expect(reply.header.error == 0)
                #expect(reply.body == Self.bytes(place.offset, place.size))
            }
        }
        // At the end of the file, short and empty, each from the disk.
        for offset in [Self.byteCount - 100, Self.byteCount, Self.byteCount - 1234 - 512] {
            try dropFromCache(host.path("file"))
            let bytes = try guest.read(file, handle, offset: UInt64(offset), size: 8192)
            #expect(bytes == Self.bytes(offset, 8192))
        }
        // The last READs and the RELEASE on their way together.
        try dropFromCache(host.path("file"))
        let last = try (0..<30).map {
            try guest.submit(
                FuseClient.readRequest(.read, file, handle, offset: UInt64($0 << 15), size: 4096),
                queue: 1)
        }
        var release = ReleaseIn()
        release.handle = handle
        var request = FuseRequest(.release, file, release)
        request.replyBodyByteCount = 0
        let released = try guest.submit(request, queue: 1)
        for (index, one) in last.enumerated() {
            let reply = try guest.receive(one)
            // One that a thread of the pool carries out may come too late. No guest does that.
            #expect(reply.header.error == -EBADF || reply.body == Self.bytes(index << 15, 4096))
        }
        #expect(try guest.receive(released).header.error == 0)
        #expect(host.share.guestDescriptors == 0)
    }

    /// Into pages, as a guest's O_DIRECT needs it, and elsewhere, which is EINVAL where the file system says so.
    @Test(arguments: [true, false]) func direct(mayUseIOUring: Bool) throws {
        let host = try host(Case(mayUseIOUring: mayUseIOUring))
        var options = host.setup.options
        options.bufferCount = 1
        let guest = FuseClient(try host.rig.connect(options))
        _ = try guest.initialize()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read | Open.direct).handle
        let buffer = guest.frontend.buffers[0]
        let queue = guest.frontend.queues[1]

        func read(_ offset: Int, room: Int) throws -> (header: OutHeader, data: [UInt8]) {
            var request = FuseClient.readRequest(.read, file, handle, offset: UInt64(offset), size: 8192)
            request.header.unique = guest.makeUnique()
            request.setLengths()
            let bytes = request.message.bytes
            bytes.withUnsafeBytes { buffer.copy($0, at: 0) }
            let ticket = try queue.enqueue(
                readable: [buffer.part(at: 0, byteCount: bytes.count)],
                writable: [
                    buffer.part(at: 4096, byteCount: 16), buffer.part(at: room, byteCount: 4096),
                    buffer.part(at: room + 16384, byteCount: 4096),
                ])
            queue.notify()
            let written = try queue.wait(for: ticket, until: Deadline(milliseconds: 30_000)).written
            var answer = [UInt8](repeating: 0, count: 16 + 8192)
            answer.withUnsafeMutableBytes { bytes in
                for (at, from, count) in [(0, 4096, 16), (16, room, 4096), (4112, room + 16384, 4096)] {
                    buffer.copy(
                        from: from, into: UnsafeMutableRawBufferPointer(rebasing: bytes[at..<(at + count)]))
                }
            }
            let header = try #require(wireValue(OutHeader.self, from: answer))
            #expect(Int(header.length) == written && header.unique == request.header.unique)
            return (header, Array(answer[16..<max(16, written)]))
        }
        for offset in [0, 1 << 19, Self.byteCount & ~4095, 5 << 20] {
            let (header, data) = try read(offset, room: 8192)
            #expect(header.error == 0)
            #expect(data == Self.bytes(offset, 8192))
        }
        let (header, data) = try read(0, room: 8192 + 17)
        #expect(header.error == -EINVAL && data.isEmpty || data == Self.bytes(0, 8192))
    }

    /// Given by the thread that starts it to the one that has waited for that thread's end.
    private final class Started: @unchecked Sendable { var daemon: DaemonProcess? }

    /// A host that forbids io_uring, as container engines do, and one that does not.
    @Test(.enabled(if: isOnDisk("/tmp"), "needs a disk below /tmp"), arguments: [true, false])
    func theHostMayForbidIt(_ forbids: Bool) throws {
        let scratch = try TemporaryDirectory()
        let (path, root) = (scratch.path + "/file", scratch.path)
        try Files.replace(path, with: Self.content)
        let started = Started()
        let starter = try HostOS.Thread(name: "starter") {
            if forbids, (try? forbid(Int(SYS_io_uring_setup))) == nil { return }
            started.daemon = try? DaemonProcess(sharing: root)
        }
        starter.join()
        let daemon = try #require(started.daemon)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socketPath, options: Setup().options))
        _ = try guest.initialize()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.read).handle
        #expect(!(try daemon.hasPool()))
        for offset in stride(from: 0, to: 1 << 20, by: 1 << 16) {
            try dropFromCache(path)
            let bytes = try guest.read(file, handle, offset: UInt64(offset), size: 4096)
            #expect(bytes == Self.bytes(offset, 4096))
        }
        #expect(try daemon.hasRing() == (ioUringIsAllowed && !forbids))
        #expect(try daemon.hasPool() == (!ioUringIsAllowed || forbids))
    }
}

/// Has the kernel read the file from its disk when it is asked for it next.
func dropFromCache(_ path: String) throws {
    let file = OwnedDescriptor(adopting: try check(open(path, O_RDONLY | O_CLOEXEC)))
    try check(fsync(file.rawValue))
    posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
}

/// Whether files there are more than their pages in the cache.
func isOnDisk(_ directory: String) -> Bool {
    var status = statfs()
    let tmpfsMagic = 0x0102_1994  // TMPFS_MAGIC of <linux/magic.h>
    return statfs(directory, &status) == 0 && Int(status.f_type) != tmpfsMagic
}

extension DaemonProcess {
    fileprivate func hasRing() throws -> Bool {
        try Files.names(in: "/proc/\(identifier)/fd").contains { name in
            var target = [CChar](repeating: 0, count: 64)
            let count = readlink("/proc/\(identifier)/fd/\(name)", &target, target.count)
            return count > 0
                && String(decoding: target.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
                    == "anon_inode:[io_uring]"
        }
    }

    fileprivate func hasPool() throws -> Bool { (try? thread(named: "waiting.0", of: identifier)) != nil }
}

/// Has a system call fail with EPERM, in the calling thread and whatever it starts.
private func forbid(_ call: Int) throws {
    // struct sock_filter of <linux/filter.h>: code, jumps if true and false, operand. Of the call's number (the first word of
    // seccomp_data), compared with `call`, to SECCOMP_RET_ERRNO or SECCOMP_RET_ALLOW.
    func instruction(_ code: UInt64, _ then: UInt64, _ otherwise: UInt64, _ operand: UInt64) -> UInt64 {
        code | then << 16 | otherwise << 24 | operand << 32
    }
    var program = [
        instruction(0x20, 0, 0, 0), instruction(0x15, 0, 1, UInt64(call)),
        instruction(0x06, 0, 0, 0x0005_0000 | UInt64(EPERM)), instruction(0x06, 0, 0, 0x7fff_0000),
    ]
    try program.withUnsafeMutableBytes { program in
        // struct sock_fprog: a count, and a pointer on the next word.
        var description = (UInt(4), UInt(bitPattern: program.baseAddress))
        let (noNewPrivileges, seccomp, filter): (Int32, Int32, UInt) = (38, 22, 2)
        try check(vfs_prctl(noNewPrivileges, 1, 0, 0, 0))
        try withUnsafeMutablePointer(to: &description) {
            _ = try check(vfs_prctl(seccomp, filter, UInt(bitPattern: $0), 0, 0))
        }
    }
}
