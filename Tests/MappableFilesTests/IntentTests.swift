// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import Testing

@testable import MappableFiles

/// What is made of the line that /proc shows of a thread, of the event, and of its memory.
@Suite struct IntentTests {
    private func event(
        _ offset: UInt64 = 0, count: UInt64 = 4096, isOpen: Bool = false
    ) -> vfs_fanotify_event {
        vfs_fanotify_event(file: -1, thread: 1, offset: offset, count: count, is_open: isOpen ? 1 : 0)
    }

    /// As /proc/TID/syscall has it: number, arguments, stack and instruction.
    private func line(_ number: Int, _ arguments: [UInt64], stack: UInt64 = 0x7ffc_0000_0000) -> String {
        let all = (0..<6).map { $0 < arguments.count ? arguments[$0] : 0 } + [stack, stack]
        return "\(number)" + all.map { " 0x" + String($0, radix: 16) }.joined() + "\n"
    }

    private func intent(
        _ event: vfs_fanotify_event, _ number: Int32, _ arguments: UInt64..., word: UInt64? = nil
    ) -> Intent {
        Intent(event, line(Int(number), arguments)) { _ in word }
    }

    @Test func truncation() {
        #expect(intent(event(8192), SYS_truncate32, 1, 8200) == .shrinks(to: 8200))
        #expect(intent(event(8192), SYS_ftruncate32, 3, 8192) == .shrinks(to: 8192))
        #expect(intent(event(0), SYS_ftruncate32, 3, 0) == .shrinks(to: 0))
        // Not its arguments: another architecture's call.
        #expect(intent(event(8192), SYS_ftruncate32, 3, 12288) == .shrinks(to: 8192))
        #expect(intent(event(isOpen: true), SYS_ftruncate32, 3, 0) == .shrinks(to: 0))
        // A length that is negative as the kernel sees it fails before there is an event; nothing may trap.
        #expect(intent(event(8192), SYS_ftruncate32, 3, .max) == .shrinks(to: 8192))
    }

    /// io_uring, say: a new length is about one page at most.
    @Test func whatNobodyCanTell() {
        let number = Int32(SYS_io_uring_enter)
        #expect(intent(event(8192), number) == .shrinks(to: 8192))
        #expect(intent(event(8192, count: 0), number) == .shrinks(to: 8192))
        #expect(intent(event(8192, count: 8192), number) == .harmless)
        #expect(Intent(event(8192, count: 8192), nil) { _ in nil } == .harmless)
    }

    @Test func opening() {
        let create = UInt64(O_CREAT | O_TRUNC)
        #expect(intent(event(isOpen: true), Int32(SYS_openat), 0, 0, UInt64(O_RDWR)) == .harmless)
        #expect(intent(event(isOpen: true), Int32(SYS_openat), 0, 0, create) == .shrinks(to: 0))
        #expect(intent(event(isOpen: true), Int32(SYS_openat), 0, create, 0) == .harmless)
        #expect(
            intent(event(isOpen: true), Int32(SYS_openat2), 0, 0, 99, 24, word: UInt64(O_RDWR)) == .harmless)
        #expect(
            intent(event(isOpen: true), Int32(SYS_openat2), 0, 0, 99, 24, word: create) == .shrinks(to: 0))
        #expect(intent(event(isOpen: true), Int32(SYS_openat2), 0, 0, 99, 24) == .shrinks(to: 0))
        #expect(intent(event(isOpen: true), Int32(SYS_execve)) == .harmless)
        #expect(intent(event(isOpen: true), Int32(SYS_read)) == .shrinks(to: 0))
        #expect(intent(event(isOpen: true), Int32(SYS_fallocate)) == .shrinks(to: 0))
        #if arch(x86_64)
        #expect(intent(event(isOpen: true), Int32(SYS_open), 0, create) == .shrinks(to: 0))
        #expect(intent(event(isOpen: true), Int32(SYS_open), 0, 0, create) == .harmless)
        #expect(intent(event(isOpen: true), Int32(SYS_creat)) == .shrinks(to: 0))
        #endif
    }

    @Test func otherUses() {
        let collapse = UInt64(FALLOC_FL_COLLAPSE_RANGE)
        #expect(intent(event(4096), Int32(SYS_fallocate), 3, collapse, 4096, 4096) == .shrinks(to: 4096))
        #expect(intent(event(4096), Int32(SYS_fallocate), 3, UInt64(FALLOC_FL_ZERO_RANGE), 4096) == .harmless)
        for number in [
            SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_preadv2, SYS_pwritev2,
            SYS_mmap,
            SYS_splice, SYS_sendfile, SYS_copy_file_range, SYS_execve,
        ] {
            #expect(intent(event(4096), Int32(number), 3, 0, 9) == .harmless, "\(number)")
        }
        // Anything else is the worst that it could be.
        #expect(intent(event(4096), Int32(SYS_io_uring_enter)) == .shrinks(to: 4096))
        #expect(intent(event(4096), Int32(SYS_openat), 0, 0, UInt64(O_RDWR)) == .shrinks(to: 4096))
        #expect(intent(event(4096), 0x4000_0000) == .shrinks(to: 4096))
    }

    @Test func whatCannotBeTold() {
        for text in [
            nil, "", "\n", "-1 0x7ffc00000000 0x7ffc00000000\n", "0 0x3 0x0\n", "nonsense",
            "0 1 2 3 4 5 6 7 8\n",
            "99999999999999999999 0x0 0x0 0x0 0x0 0x0 0x0 0x1 0x1\n",
            "0 0x1ffffffffffffffff 0x0 0x0 0x0 0x0 0x0 0x1 0x1\n",
            // A thread that the kernel has made has its maker's call, and no stack.
            line(Int(SYS_read), [3], stack: 0),
        ] as [String?] {
            #expect(Intent(event(4096), text) { _ in nil } == .shrinks(to: 4096), "\(text ?? "nil")")
            #expect(Intent(event(isOpen: true), text) { _ in nil } == .shrinks(to: 0), "\(text ?? "nil")")
        }
        #expect(Intent(event(4096), "running\n") { _ in nil } == .running)
    }
}

private let SYS_truncate32 = Int32(SYS_truncate)
private let SYS_ftruncate32 = Int32(SYS_ftruncate)
