// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FilteredChild
import Glibc
import HostOS
import Synchronization
import Testing

@testable import Sandbox

/// What the kernel does with each thread's system calls: one call in a child of its own each time.
@Suite struct SystemCallFilterTests {
    private enum Fate: Equatable {
        /// The kernel has made the call, with this result.
        case made(Int32)
        case killed
    }

    private func fate(
        _ number: Int, _ arguments: [Int], _ role: ThreadRole, action: FilterAction = .kill,
        usesSystemLog: Bool = false, errors: Int32 = -1
    ) throws -> Fate {
        let rules = role.rules(process: Self.process, usesSystemLog: usesSystemLog)
        let program = try compile(rules, otherwise: action)
        var end = filtered_end()
        let words = (0..<6).map { $0 < arguments.count ? UInt(bitPattern: arguments[$0]) : 0 }
        guard filtered_call(program, program.count, number, words, errors, &end) == 0 else {
            throw Errno(rawValue: errno)
        }
        if end.signal == 0 { return .made(end.error) }
        #expect(end.signal == SIGSYS)
        return .killed
    }

    /// A process that there is not: what a filter lets through harms nobody.
    private static let process: pid_t = 0x3fff_ffff

    /// A call, and whether a thread may make it. An argument of -1 that is a descriptor, or 0 that is an address, makes it fail.
    struct Case: Sendable, CustomTestStringConvertible {
        var role: ThreadRole
        var name: String
        var arguments: [Int]
        /// nil: killed.
        var result: Int32?

        init(_ role: ThreadRole, _ name: String, _ arguments: Int..., result: Int32? = nil) {
            (self.role, self.name, self.arguments, self.result) = (role, name, arguments, result)
        }

        var testDescription: String { "\(role): \(name)(\(arguments.map { String($0, radix: 16) }))" }
    }

    private static let high = 1 << 40
    private static let anonymous = Int(MAP_PRIVATE | MAP_ANONYMOUS)
    private static let thread = Int(
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS
            | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
    /// As CLONE_SETTLS: no address, so that no thread begins.
    private static let nowhere = -1

    /// Of every condition on an argument one call that it lets through, and one that it alone stops.
    static let conditions: [Case] =
        ThreadRole.allCases.flatMap { role -> [Case] in
            [
                Case(role, "mmap", 0, 4096, Int(PROT_READ | PROT_WRITE), anonymous, -1, 0, result: 0),
                Case(role, "mmap", 0, 4096, Int(PROT_READ | PROT_EXEC), anonymous, -1, 0),
                Case(role, "mprotect", 0, 0, Int(PROT_READ), result: 0),
                Case(role, "mprotect", 0, 0, Int(PROT_READ | PROT_EXEC)),
                Case(role, "tgkill", Int(process), Int(process), 0, result: ESRCH),
                Case(role, "tgkill", 1, 1, 0),
                Case(role, "prctl", Int(PR_GET_NAME), 0, result: EFAULT),
                Case(role, "prctl", Int(PR_SET_DUMPABLE), 1),
            ]
        } + request + [
            Case(.control, "fcntl", -1, Int(F_GETFL), result: EBADF),
            Case(.control, "fcntl", -1, Int(F_SETFL), 0, result: EBADF),
            // Signals to whoever the caller likes.
            Case(.control, "fcntl", -1, Int(F_SETOWN), 1),
            Case(.control, "fcntl", -1, Int(F_OFD_SETLKW), 0),
            Case(.control, "fcntl", -1, Int(F_OFD_SETLK), 0, result: EBADF),
        ]

    private static let request: [Case] = [
        Case(.request, "clone", thread, 0, 0, 0, nowhere, result: EPERM),
        Case(.request, "clone", Int(SIGCHLD)),
        Case(.request, "clone", thread & ~Int(CLONE_THREAD), 0, 0, 0, nowhere),
        Case(.request, "clone", thread & ~Int(CLONE_FS), 0, 0, 0, nowhere),
        Case(.request, "clone", thread | Int(CLONE_NEWUSER), 0, 0, 0, nowhere),
        Case(.request, "prctl", Int(PR_SET_NAME), 0, result: EFAULT),
        Case(.request, "unshare", Int(CLONE_FS), result: 0),
        Case(.request, "unshare", Int(CLONE_NEWNS)),
        Case(.request, "unshare", Int(CLONE_NEWNS | CLONE_FS)),
        Case(.request, "ioctl", -1, Int(VFS_FS_IOC_GETFLAGS), result: EBADF),
        // The kernel does not look at the upper half.
        Case(.request, "ioctl", -1, Int(VFS_FS_IOC_GETFLAGS) | high, result: EBADF),
        Case(.request, "ioctl", -1, Int(VFS_FS_IOC_SETFLAGS), result: EBADF),
        Case(.request, "ioctl", -1, Int(VFS_FS_IOC_FSGETXATTR), result: EBADF),
        Case(.request, "ioctl", -1, Int(VFS_FS_IOC_FSSETXATTR), result: EBADF),
        Case(.request, "ioctl", -1, Int(TIOCSTI)),
        Case(.request, "ioctl", -1, Int(TIOCSTI) | high),
        Case(.request, "fcntl", -1, Int(F_OFD_GETLK), result: EBADF),
        Case(.request, "fcntl", -1, Int(F_OFD_SETLK), result: EBADF),
        Case(.request, "fcntl", -1, Int(F_OFD_SETLKW), result: EBADF),
        Case(.request, "fcntl", -1, Int(F_DUPFD_CLOEXEC), 3, result: EBADF),
        Case(.request, "fcntl", -1, Int(F_SETFL), 0),
        Case(.request, "fcntl", -1, Int(F_SETOWN), 1),
        Case(.request, "timer_create", Int(CLOCK_MONOTONIC), 0, 0, result: EFAULT),
        Case(.request, "timer_create", Int(CLOCK_REALTIME), 0, 0),
    ]

    @Test(arguments: conditions) func anArgumentDecides(one: Case) throws {
        let number = try #require(try Self.number(one.name))
        #expect(try fate(number, one.arguments, one.role) == one.result.map(Fate.made) ?? .killed)
    }

    /// The cases above are of all conditions that there are.
    @Test func everyConditionHasItsCases() {
        for role in ThreadRole.allCases {
            for rule in role.rules(process: 1, usesSystemLog: true) where !rule.conditions.isEmpty {
                let cases = Self.conditions.filter { $0.role == role && $0.name == rule.name }
                #expect(cases.contains { $0.result != nil }, "\(role): \(rule.name)")
                #expect(cases.contains { $0.result == nil }, "\(role): \(rule.name)")
            }
        }
    }

    /// What a hijacked thread would like to do.
    private static let forbidden = [
        "socket", "socketpair", "connect", "bind", "listen", "execve", "execveat", "fork", "vfork", "ptrace",
        "process_vm_readv",
        "process_vm_writev", "process_madvise", "mount", "umount2", "pivot_root", "chroot", "move_mount",
        "open_tree", "fsopen", "mount_setattr", "setns", "bpf", "perf_event_open", "userfaultfd", "keyctl",
        "add_key", "request_key", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
        "pidfd_getfd", "pidfd_send_signal", "io_uring_setup", "io_uring_register", "open", "creat", "mknod",
        "rename", "symlink", "link", "mkdir", "rmdir", "chdir", "setuid", "setgid", "setreuid", "setresuid",
        "setresgid", "personality", "memfd_create", "memfd_secret", "pkey_mprotect", "shmget", "shmat",
        "init_module", "finit_module", "kexec_load", "reboot", "swapon", "sethostname", "settimeofday",
        "clock_settime", "adjtimex", "acct", "quotactl", "syslog", "iopl", "ioperm", "modify_ldt",
        "arch_prctl", "prlimit64", "setrlimit", "setpriority", "sched_setscheduler", "seccomp",
        "fanotify_init", "inotify_init1", "kcmp", "landlock_create_ruleset", "name_to_handle",
        "process_mrelease", "vhangup", "nfsservctl", "lookup_dcookie", "msgget", "semget", "mq_open",
        "sendmmsg", "recvmmsg", "splice", "vmsplice", "tee", "sendfile", "setsid", "setpgid", "wait4",
        "waitid",
    ]

    @Test(arguments: ThreadRole.allCases) func whatNobodyNeedsIsNotMade(role: ThreadRole) throws {
        for name in Self.forbidden {
            guard let number = try Self.number(name) else { continue }
            #expect(try fate(number, [-1, 0, 0, 0, 0, 0], role) == .killed, "\(name)")
        }
        // The other numbers that an x86 kernel knows the same calls by.
        #if arch(x86_64)
        #expect(try fate(Int(SYS_getpid) | 0x4000_0000, [], role) == .killed)
        #endif
    }

    /// Each kind of thread has what the others have only where it needs that.
    @Test func aThreadHasOnlyWhatItNeeds() throws {
        let own: [(ThreadRole, [String])] = [
            (.request, ["openat", "openat2", "open_by_handle_at", "statx", "unlinkat", "setfsuid", "clone"]),
            (.control, ["accept4", "recvmsg", "sendmsg", "dup3"]),
        ]
        for (owner, names) in own {
            for role in ThreadRole.allCases where role != owner {
                for name in names where !(role == .control && name == "unlinkat") {
                    let number = try #require(try Self.number(name))
                    #expect(try fate(number, [-1, 0, 0, 0, 0, 0], role) == .killed, "\(role): \(name)")
                }
            }
        }
    }

    @Test func newThreadsAreMadeWithoutClone3() throws {
        #expect(try fate(Int(SYS_clone3), [0, 0], .request) == .made(ENOSYS))
        #expect(try fate(Int(SYS_clone3), [0, 0], .control) == .killed)
    }

    /// syslog(3) connects again by itself; that must fail and not end the daemon.
    @Test(arguments: ThreadRole.allCases) func theLogMakesNoSocket(role: ThreadRole) throws {
        let arguments = [Int(AF_UNIX), Int(SOCK_DGRAM.rawValue), 0]
        #expect(try fate(Int(SYS_socket), arguments, role, usesSystemLog: true) == .made(EACCES))
        #expect(try fate(Int(SYS_sendto), [-1, 0, 0], role, usesSystemLog: true) == .made(EBADF))
        #expect(try fate(Int(SYS_socket), arguments, role) == .killed)
        #expect(try fate(Int(SYS_sendto), [-1, 0, 0], role) == .killed)
    }

    @Test func loggedCallsAreMade() throws {
        #expect(try fate(Int(SYS_socket), [-1, 0, 0], .request, action: .log) == .made(EAFNOSUPPORT))
        #expect(try fate(Int(SYS_unshare), [0], .request, action: .log) == .made(0))
        // What glibc is prepared for stays.
        #expect(try fate(Int(SYS_clone3), [0, 0], .request, action: .log) == .made(ENOSYS))
    }

    /// With `trap` the process has a last word: which thread, which call.
    @Test func trappedCallsAreSaid() throws {
        // A handler is the process's, so our children have it.
        _ = try SystemCallFilters(.trap, usesSystemLog: false)
        var ends: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&ends, O_CLOEXEC) }
        let output = OwnedDescriptor(adopting: ends[0])
        let input = OwnedDescriptor(adopting: ends[1])
        let call = Int(SYS_keyctl)
        #expect(try fate(call, [], .signals, action: .trap, errors: input.rawValue) == .killed)
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(output.rawValue, &bytes, bytes.count)
        #expect(
            String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
                == "virtiofsd: thread filtered made a system call that it has no use for: number \(call), keyctl\n"
        )
    }

    /// A filter is a thread's own, and that of those that it starts.
    @Test func aThreadTakesItsOwn() throws {
        @Sendable func state() throws -> Substring? {
            try Files.text("/proc/thread-self/status").split(separator: "\n").first {
                $0.hasPrefix("Seccomp_filters:")
            }
        }
        let before = try state()
        let filters = try SystemCallFilters(.log, usesSystemLog: false)
        let seen = Mutex<[Substring?]>([])
        try Thread(name: "filtered") {
            try? forbidNewPrivileges()
            try? filters.load(.request)
            let own = try? state()
            let inner = try? Thread(name: "inner") { seen.withLock { $0.append(try? state()) } }
            inner?.join()
            seen.withLock { $0.append(own) }
        }.join()
        let states = seen.withLock { $0 }
        #expect(states.count == 2 && states[0] == states[1] && states[0] != before)
        #expect(try state() == before)
        // None at all.
        try SystemCallFilters(.none, usesSystemLog: false).load(.request)
        #expect(try state() == before)
    }

    /// The hot calls have no conditions, so that the kernel does not run the filter for them (its table of allowed calls).
    @Test func hotCallsAreFree() {
        let rules = ThreadRole.request.rules(process: 1, usesSystemLog: false)
        for name in [
            "preadv2", "pwritev2", "statx", "openat", "openat2", "open_by_handle_at", "close", "read",
            "write", "poll",
            "ppoll", "setfsuid", "setfsgid", "capset", "umask", "getdents64", "io_uring_enter", "futex",
            "lseek",
        ] {
            #expect(
                rules.contains { $0.name == name && $0.conditions.isEmpty && $0.verdict == .allow }, "\(name)"
            )
        }
    }

    /// A name that is spelled wrong would be skipped as one of another architecture.
    @Test func everyNameIsOne() throws {
        for role in ThreadRole.allCases {
            var seen: [String] = []
            for rule in role.rules(process: 1, usesSystemLog: true) {
                let number = try Self.number(rule.name)
                #if arch(x86_64)
                #expect(number != nil || rule.number != nil, "\(rule.name)")
                #endif
                if let number, let given = rule.number { #expect(number == given, "\(rule.name)") }
                let key = "\(rule.name) \(rule.conditions)"
                #expect(!seen.contains(key), "\(role): \(key) twice")
                seen.append(key)
            }
        }
    }

    private static func number(_ name: String) throws -> Int? {
        let number = systemCallNumber(named: name)
        return number < 0 ? nil : Int(number)
    }
}
