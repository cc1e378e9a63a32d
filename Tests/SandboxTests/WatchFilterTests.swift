// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FilteredChild
import Glibc
import Testing

@testable import Sandbox

/// The system calls of the process that watches the host: it may open every file of the host.
@Suite struct WatchFilterTests {
    /// nil: the kernel has ended the process; else the errno that the call had.
    private func result(_ role: HelperFilters.Role, _ name: String, _ arguments: Int...) throws -> Int32? {
        let program = try compile(role.rules(process: 0x3fff_ffff), otherwise: .kill)
        let words = (0..<6).map { $0 < arguments.count ? UInt(bitPattern: arguments[$0]) : 0 }
        var end = filtered_end()
        let number = Int(systemCallNumber(named: name))
        guard filtered_call(program, program.count, number, words, -1, &end) == 0 else {
            throw Errno(rawValue: errno)
        }
        return end.signal == 0 ? end.error : nil
    }

    @Test(arguments: [HelperFilters.Role.waitingWatch, .watch])
    func whatItIsForIsMade(role: HelperFilters.Role) throws {
        #expect(try result(role, "open_by_handle_at", -1, 0, Int(O_PATH | O_CLOEXEC)) != nil)
        #expect(try result(role, "openat", -1, 0, Int(O_PATH | O_DIRECTORY | O_CLOEXEC)) == EFAULT)
        #expect(try result(role, "statx", -1, 0) != nil)
        #expect(try result(role, "fcntl", -1, Int(F_OFD_SETLK)) == EBADF)
    }

    @Test func beforeItWatchesItMayDoMore() throws {
        for name in ["fanotify_init", "fanotify_mark", "name_to_handle_at", "fstatfs", "capset", "seccomp"] {
            #expect(try result(.waitingWatch, name, -1, -1, -1, -1) != nil, "\(name)")
            #expect(try result(.watch, name, -1, -1, -1, -1) == nil, "\(name)")
        }
        #expect(try result(.waitingWatch, "openat", -1, 0, Int(O_CLOEXEC)) == EFAULT)
        #expect(try result(.watch, "openat", -1, 0, Int(O_CLOEXEC)) == nil)
    }

    @Test func byInotifyItOpensDirectoriesOnly() throws {
        #expect(try result(.treeWatch, "openat", -1, 0, Int(O_DIRECTORY | O_CLOEXEC)) == EFAULT)
        #expect(
            try result(.treeWatch, "openat", -1, 0, Int(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
                == EFAULT)
        #expect(try result(.treeWatch, "inotify_add_watch", -1, 0, 0) != nil)
        #expect(try result(.treeWatch, "getdents64", -1, 0, 0) == EBADF)
        for name in ["open_by_handle_at", "fanotify_init", "fanotify_mark", "capset", "seccomp"] {
            #expect(try result(.treeWatch, name, -1, -1, -1, -1) == nil, "\(name)")
        }
        #expect(try result(.watch, "getdents64", -1, 0, 0) == nil)
    }

    @Test func whatElseItsRightsAllowIsNot() throws {
        for role in [HelperFilters.Role.waitingWatch, .watch, .treeWatch] {
            for name in [
                "openat2", "execve", "fork", "clone", "clone3", "ptrace", "process_vm_readv", "mount",
                "umount2",
                "open_tree", "fsopen", "setns", "unshare", "pivot_root", "chroot", "bpf", "perf_event_open",
                "socket", "connect", "accept4", "sendmsg", "kill", "pidfd_open", "io_uring_setup", "ioctl",
                "init_module", "sethostname", "dup2", "unlinkat", "renameat", "truncate", "ftruncate",
                "pwritev2",
                "fchownat", "setxattr",
            ] where systemCallNumber(named: name) >= 0 {
                #expect(try result(role, name, -1) == nil, "\(name)")
            }
            // What it opens it can neither read nor write.
            for flags in [O_RDONLY, O_RDWR, O_CLOEXEC] {
                #expect(try result(role, "open_by_handle_at", -1, 0, Int(flags)) == nil, "\(flags)")
            }
            for flags in [O_CLOEXEC | O_RDWR, O_CLOEXEC | O_WRONLY, O_CLOEXEC | O_CREAT] {
                #expect(try result(role, "openat", -1, 0, Int(flags)) == nil, "\(flags)")
            }
            #expect(try result(role, "fcntl", -1, Int(F_SETOWN), 1) == nil)
        }
    }

    /// A name that is spelled wrong would be skipped as one of another architecture.
    @Test func everyNameIsOne() {
        for rule in SystemCallRule.ofWaitingWatch(process: 1) + SystemCallRule.ofTreeWatch(process: 1) {
            #if arch(x86_64)
            #expect(systemCallNumber(named: rule.name) >= 0, "\(rule.name)")
            #endif
        }
    }
}
