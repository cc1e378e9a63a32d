// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

// The system calls of each kind of thread, as data. What is not here ends the process (`--seccomp kill`). A call that takes a
// path is here only if its thread works with names; no thread makes sockets, starts programs, mounts, changes its
// namespaces, or looks into other processes. docs/options.md says what that is good for.

extension ThreadRole {
    /// - Parameters:
    ///   - process: the number of this process: nobody else gets signals of ours.
    ///   - usesSystemLog: for `--syslog`, whose socket is there already.
    ///   - usesWindow: for `--dax-window`.
    func rules(process: pid_t, usesSystemLog: Bool, usesWindow: Bool = false) -> [SystemCallRule] {
        let common = SystemCallRule.ofEveryThread(process: process)
        let log = usesSystemLog ? SystemCallRule.ofSystemLog : []
        switch self {
        case .control:
            return common + log + SystemCallRule.ofControl
                + (usesWindow ? SystemCallRule.ofWindowControl : [])
        case .request:
            return common + log + SystemCallRule.ofNewThreads + SystemCallRule.ofNames
                + SystemCallRule.ofAttributes + SystemCallRule.ofOpenFiles + SystemCallRule.ofCredentials
                + (usesWindow ? SystemCallRule.ofWindow(process: process) : [])
        case .signals: return common + log
        }
    }
}

extension SystemCallRule {
    /// Memory without PROT_EXEC: nothing that a guest has sent becomes a program.
    fileprivate static func ofEveryThread(process: pid_t) -> [SystemCallRule] {
        [
            .init("read", for: "eventfds, signals"),
            .init("write", for: "eventfds, log lines, a label's attribute"),
            .init("writev", for: "glibc's last words"),
            .init("close", for: "descriptors"),
            .init("poll", for: "waiting"),
            .init("ppoll", for: "waiting, where there is no poll"),
            .init("restart_syscall", for: "poll and futex after SIGSTOP and SIGCONT"),
            .init("futex", for: "locks, joining threads"),
            .init("mmap", .bits(2, without: PROT_EXEC), for: "malloc, guest memory"),
            .init("mprotect", .bits(2, without: PROT_EXEC), for: "malloc, stacks"),
            .init("munmap", for: "malloc, guest memory"),
            .init("mremap", for: "realloc"),
            .init("madvise", for: "free, stacks, guest memory"),
            .init("brk", for: "malloc"),
            .init("clock_gettime", for: "clocks without a vDSO"),
            .init("gettimeofday", for: "the same"),
            .init("time", for: "the same"),
            .init("getrandom", for: "seeds of hash tables"),
            .init("sched_yield", for: "locks of the runtime"),
            .init("rt_sigprocmask", for: "threads that begin and end"),
            .init("rt_sigaction", for: "abort"),
            .init("rt_sigreturn", for: "handlers"),
            .init("getpid", for: "abort, syslog"),
            .init("gettid", for: "abort, timers, labels"),
            .init("tgkill", .int(0, is: process), for: "abort"),
            .init("prctl", .int(0, is: PR_GET_NAME), for: "the report of a trapped call"),
            .init("exit", for: "the end of a thread"),
            .init("exit_group", for: "the end"),
        ]
    }

    /// glibc would connect again when a message cannot be sent. That fails, and the message is lost.
    fileprivate static let ofSystemLog: [SystemCallRule] = [
        .init("sendto", for: "syslog"),
        .init("socket", verdict: .fail(EACCES), for: "syslog that wants to connect again"),
    ]

    /// clone3's flags are in memory, where no filter sees them: it does not exist, and glibc takes clone.
    fileprivate static let ofNewThreads: [SystemCallRule] = [
        .init("clone3", number: 435, verdict: .fail(ENOSYS), for: "pthread_create"),
        .init(
            "clone",
            .flags(
                0, exactly: CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
                perhaps: CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID
                    | CLONE_DETACHED),
            for: "pthread_create: threads, never a process"),
        .init("set_robust_list", for: "a thread's start"),
        .init("rseq", for: "a thread's start"),
        .init("prctl", .int(0, is: PR_SET_NAME), for: "a thread's name"),
        .init("sched_getaffinity", for: "malloc, how many arenas"),
        .init("unshare", .int(0, is: CLONE_FS), for: "a working directory and umask of its own"),
        .init("fchdir", for: "the working directory /proc/self/fd"),
        .init("umask", for: "what is made with the guest's umask"),
    ]

    /// Paths are single components, or numbers below the working directory /proc/self/fd. openat2's flags are in memory; that
    /// it stays in the share is HostFS's word.
    fileprivate static let ofNames: [SystemCallRule] = [
        .init("openat2", number: 437, for: "opening by name"),
        .init("openat", for: "opening again through /proc/self/fd"),
        .init("open_by_handle_at", for: "known inodes"),
        .init("name_to_handle_at", for: "new inodes"),
        .init("statx", for: "LOOKUP, GETATTR and nearly all else"),
        .init("mkdirat", for: "MKDIR"),
        .init("mknodat", for: "MKNOD"),
        .init("symlinkat", for: "SYMLINK"),
        .init("linkat", for: "LINK"),
        .init("unlinkat", for: "UNLINK, RMDIR"),
        .init("renameat", for: "RENAME, as glibc makes renameat2 without flags"),
        .init("renameat2", for: "RENAME2"),
        .init("readlinkat", for: "READLINK"),
        .init("getdents64", for: "READDIR"),
    ]

    fileprivate static let ofAttributes: [SystemCallRule] = [
        .init("fchownat", for: "SETATTR"),
        .init("fchmodat2", number: 452, for: "SETATTR"),
        .init("fchmodat", for: "SETATTR before Linux 6.6"),
        .init("chmod", for: "SETXATTR of an ACL, which clears set-group-id"),
        .init("utimensat", for: "SETATTR"),
        .init("truncate", for: "SETATTR"),
        .init("ftruncate", for: "SETATTR"),
        .init("faccessat", for: "ACCESS, as glibc makes it where there is no faccessat2"),
        .init("faccessat2", number: 439, for: "ACCESS"),
        .init("getxattr", for: "GETXATTR"),
        .init("setxattr", for: "SETXATTR, labels"),
        .init("listxattr", for: "LISTXATTR"),
        .init("removexattr", for: "REMOVEXATTR"),
        .init("fstatfs", for: "STATFS"),
        .init("ioctl", .unsigned(1, is: VFS_FS_IOC_GETFLAGS), for: "IOCTL: lsattr"),
        .init("ioctl", .unsigned(1, is: VFS_FS_IOC_SETFLAGS), for: "IOCTL: chattr"),
        .init("ioctl", .unsigned(1, is: VFS_FS_IOC_FSGETXATTR), for: "IOCTL: project ids"),
        .init("ioctl", .unsigned(1, is: VFS_FS_IOC_FSSETXATTR), for: "IOCTL: project ids"),
    ]

    /// A ring has been made and restricted before: more of them would do what no filter sees.
    fileprivate static let ofOpenFiles: [SystemCallRule] = [
        .init("preadv2", for: "READ"),
        .init("pwritev2", for: "WRITE"),
        .init("io_uring_enter", number: 426, for: "READ that waits for a disk"),
        .init("lseek", for: "LSEEK, READDIR"),
        .init("fsync", for: "FSYNC"),
        .init("fdatasync", for: "FSYNC"),
        .init("syncfs", for: "SYNCFS"),
        .init("fallocate", for: "FALLOCATE"),
        .init("copy_file_range", for: "COPY_FILE_RANGE"),
        .init("flock", for: "SETLK of whole files"),
        .init("fcntl", .int(1, is: F_OFD_GETLK), for: "GETLK"),
        .init("fcntl", .int(1, is: F_OFD_SETLK), for: "SETLK"),
        .init("fcntl", .int(1, is: F_OFD_SETLKW), for: "SETLKW"),
        .init("fcntl", .int(1, is: F_DUPFD_CLOEXEC), for: "locks that outlive a handle"),
        .init("timer_create", .int(0, is: CLOCK_MONOTONIC), for: "SETLKW that is interrupted"),
        .init("timer_settime", for: "the same"),
        .init("timer_delete", for: "the same"),
    ]

    /// The one process whose memory is read by way of the kernel is this one.
    fileprivate static func ofWindow(process: pid_t) -> [SystemCallRule] {
        [
            .init("sendmsg", for: "asking the VMM to map a file"),
            .init("recvmsg", for: "its answer"),
            .init("fadvise64", for: "what a guest will map next"),
            .init("shutdown", for: "no more announcements of files that become shorter"),
            .init("process_vm_readv", .int(0, is: process), for: "requests in files that may shrink"),
            .init("process_vm_writev", .int(0, is: process), for: "replies into them"),
        ]
    }

    fileprivate static let ofWindowControl: [SystemCallRule] = [
        .init("statx", for: "whether a memory region is a file in the window")
    ]

    /// Of the calling thread alone, and within what its capabilities allow.
    fileprivate static let ofCredentials: [SystemCallRule] = [
        .init("setfsuid", for: "what is made belongs to the guest's user"),
        .init("setfsgid", for: "the same"),
        .init("setgroups", for: "the group of one request"),
        .init("capget", for: "a thread's start"),
        .init("capset", for: "rights of one request"),
        .init("geteuid", for: "a thread's start"),
        .init("getegid", for: "a thread's start"),
    ]

    /// The process that makes files mappable, which has rights that no thread of the daemon has.
    static func ofFilesProcess(process: pid_t) -> [SystemCallRule] {
        ofEveryThread(process: process) + [
            .init("recvmsg", for: "the daemon's files"),
            .init("sendmsg", for: "answers"),
            .init("fcntl", .int(1, is: F_GETFL), for: "how a file was opened"),
            .init("statx", for: "what a file is"),
            .init("ioctl", .unsigned(1, is: VFS_FUSE_BACKING_OPEN), for: "files that stand behind others"),
            .init("ioctl", .unsigned(1, is: VFS_FUSE_BACKING_CLOSE), for: "the same"),
            .init("fanotify_mark", for: "files that are protected"),
            .init("openat", .int(2, is: O_CLOEXEC), for: "/proc/TID/syscall"),
            .init("faccessat", for: "whether a thread is the daemon's, where there is no faccessat2"),
            .init("faccessat2", number: 439, for: "the same"),
            .init("process_vm_readv", for: "the flags of openat2"),
        ]
    }

    /// The process that watches the host for the version table.
    static func ofWatch(process: pid_t) -> [SystemCallRule] {
        ofEveryThread(process: process) + [
            .init("open_by_handle_at", .int(2, is: O_PATH | O_CLOEXEC), for: "objects that events name"),
            .init("openat", .int(2, is: O_PATH | O_DIRECTORY | O_CLOEXEC), for: "the directories above them"),
            .init("statx", for: "their numbers and links"),
            .init("lseek", for: "reading the list of mounts again"),
            .init("fcntl", .int(1, is: F_OFD_SETLK), for: "writers' records that the dead have left"),
        ]
    }

    /// The same process before that: it waits until it may, and then gives up more.
    static func ofWaitingWatch(process: pid_t) -> [SystemCallRule] {
        ofWatch(process: process) + [
            .init("openat", .int(2, is: O_RDONLY | O_CLOEXEC), for: "the list of mounts"),
            .init("openat", .int(2, is: O_RDONLY | O_NONBLOCK | O_CLOEXEC), for: "mounts"),
            .init("openat", .int(2, is: O_PATH | O_NOFOLLOW | O_CLOEXEC), for: "the same"),
            .init("readlink", for: "the path of the shared directory"),
            .init("readlinkat", for: "the same, where there is no readlink"),
            .init("fstatfs", for: "the ids of file systems"),
            .init("name_to_handle_at", for: "the handle of the shared directory"),
            .init("fanotify_init", for: "events"),
            .init("fanotify_mark", for: "the same"),
            .init("prctl", .int(0, is: PR_CAPBSET_READ), for: "giving up capabilities"),
            .init("prctl", .int(0, is: PR_CAPBSET_DROP), for: "the same"),
            .init("capget", for: "the same"),
            .init("capset", for: "the same"),
            .init("seccomp", for: "the next filter"),
        ]
    }

    /// The same where file systems cannot be marked.
    static func ofTreeWatch(process: pid_t) -> [SystemCallRule] {
        let directory = O_DIRECTORY | O_CLOEXEC
        return ofEveryThread(process: process) + [
            .init("openat", .int(2, is: O_PATH | O_NOFOLLOW | directory), for: "directories"),
            .init("openat", .int(2, is: O_RDONLY | directory), for: "their entries"),
            .init("openat", .int(2, is: O_RDONLY | O_CLOEXEC), for: "the list of mounts"),
            .init("getdents64", for: "entries"),
            .init("fstat", for: "the C library, before it reads a directory"),
            .init("newfstatat", for: "the same"),
            .init("fcntl", .int(1, is: F_GETFL), for: "the same"),
            .init("fcntl", .int(1, is: F_SETFD), for: "the same"),
            .init("fcntl", .int(1, is: F_DUPFD_CLOEXEC), for: "the way from the shared directory"),
            .init("fcntl", .int(1, is: F_OFD_SETLK), for: "turns; writers' records that the dead have left"),
            .init("statx", for: "numbers of objects"),
            .init("lseek", for: "reading the list of mounts again"),
            .init("readlink", for: "the path of the shared directory"),
            .init("readlinkat", for: "the same, where there is no readlink"),
            .init("inotify_init1", for: "events"),
            .init("inotify_add_watch", for: "the same"),
            .init("inotify_rm_watch", for: "the same"),
        ]
    }

    fileprivate static let ofControl: [SystemCallRule] = [
        .init("accept4", for: "front-ends"),
        .init("recvmsg", for: "vhost-user"),
        .init("sendmsg", for: "vhost-user"),
        .init("fcntl", .int(1, is: F_GETFL), for: "sockets, kick and call descriptors"),
        .init("fcntl", .int(1, is: F_SETFL), for: "the same"),
        .init("fcntl", .int(1, is: F_OFD_SETLK), for: "locks that end with their guest"),
        .init("dup3", for: "a ring's descriptors"),
        .init("eventfd2", for: "a ring without a front-end"),
        .init("fstat", for: "memory regions"),
        .init("newfstatat", for: "memory regions; whether the socket's name is ours"),
        .init("fstatfs", for: "memory regions in huge pages"),
        .init("unlink", for: "the socket's name, at the end"),
        .init("unlinkat", for: "the same, where there is no unlink"),
        .init("timer_settime", for: "waits for locks that end with their guest"),
        .init("timer_delete", for: "the same"),
    ]
}

/// musl and old versions of glibc say so; without effect.
private let CLONE_DETACHED: Int32 = 0x0040_0000
