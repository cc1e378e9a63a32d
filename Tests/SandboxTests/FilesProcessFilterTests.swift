// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FilteredChild
import Glibc
import Testing

@testable import Sandbox

/// The system calls of the process that makes files mappable: it may do to the host what no thread of the daemon may.
@Suite struct FilesProcessFilterTests {
    /// nil: the kernel has ended the process; else the errno that the call had.
    private func result(_ name: String, _ arguments: Int...) throws -> Int32? {
        let program = try compile(SystemCallRule.ofFilesProcess(process: 0x3fff_ffff), otherwise: .kill)
        let words = (0..<6).map { $0 < arguments.count ? UInt(bitPattern: arguments[$0]) : 0 }
        var end = filtered_end()
        let number = Int(systemCallNumber(named: name))
        guard filtered_call(program, program.count, number, words, -1, &end) == 0 else {
            throw Errno(rawValue: errno)
        }
        return end.signal == 0 ? end.error : nil
    }

    @Test func whatItIsForIsMade() throws {
        #expect(try result("recvmsg", -1) == EBADF)
        #expect(try result("sendmsg", -1) == EBADF)
        #expect(try result("fcntl", -1, Int(F_GETFL)) == EBADF)
        #expect(try result("ioctl", -1, Int(VFS_FUSE_BACKING_OPEN)) == EBADF)
        #expect(try result("ioctl", -1, Int(VFS_FUSE_BACKING_CLOSE)) == EBADF)
        #expect(try result("fanotify_mark", -1, 1, 1, -1) == EBADF)
        #expect(try result("openat", -1, 0, Int(O_CLOEXEC)) == EFAULT)
        #expect(try result("faccessat2", -1, 0) == EFAULT)
        // No process, or no memory: it is made.
        #expect(try result("process_vm_readv", 0x3fff_ffff, 0, 0, 0, 0, 0) != nil)
    }

    @Test func whatElseItsRightsAllowIsNot() throws {
        for name in [
            "openat2", "open_by_handle_at", "execve", "fork", "clone", "clone3", "ptrace",
            "process_vm_writev", "mount",
            "umount2", "open_tree", "fsopen", "setns", "unshare", "pivot_root", "chroot", "bpf",
            "perf_event_open",
            "socket", "connect", "accept4", "kill", "pidfd_open", "pidfd_getfd", "io_uring_setup", "capset",
            "prctl",
            "init_module", "sethostname", "swapon", "reboot", "dup2", "fanotify_init", "unlinkat", "renameat",
            "truncate", "ftruncate", "pwritev2", "fchownat", "setxattr",
        ] where systemCallNumber(named: name) >= 0 {
            #expect(try result(name, -1) == nil, "\(name)")
        }
        #expect(try result("ioctl", -1, Int(TIOCSTI)) == nil)
        // Only to read what is there.
        for flags in [0, O_CLOEXEC | O_RDWR, O_CLOEXEC | O_WRONLY, O_CLOEXEC | O_CREAT, O_CLOEXEC | O_TRUNC] {
            #expect(try result("openat", -1, 0, Int(flags)) == nil, "\(flags)")
        }
        #expect(try result("fcntl", -1, Int(F_SETOWN), 1) == nil)
        #expect(try result("mmap", 0, 4096, Int(PROT_EXEC), Int(MAP_PRIVATE | MAP_ANONYMOUS), -1, 0) == nil)
    }

    /// A name that is spelled wrong would be skipped as one of another architecture.
    @Test func everyNameIsOne() {
        for rule in SystemCallRule.ofFilesProcess(process: 1) {
            #if arch(x86_64)
            #expect(systemCallNumber(named: rule.name) >= 0, "\(rule.name)")
            #endif
        }
    }
}
