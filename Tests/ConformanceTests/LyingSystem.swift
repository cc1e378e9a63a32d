// SPDX-License-Identifier: Apache-2.0
#if arch(x86_64)
import CLinux
import Conformance
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

/// File systems with one bug each, played by a seccomp filter on the check's thread: a system call that does nothing
/// and returns what it is told. Checks that are worth having find each of them.
@Suite(.enabled(if: geteuid() == 0, "the checks need root")) struct LyingSystem {
    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let calls: [Int32]
        /// 0: the call says that it succeeded.
        let error: Int32
        /// Those that must find it.
        let checks: [String]
    }

    static let lies: [Lie] = [
        Lie(
            testDescription: "chmod does nothing", calls: [SYS_chmod, SYS_fchmod], error: 0,
            checks: [
                "chmod/every-kind", "chmod/by-descriptor", "chmod/follows-links",
                "granular/mask-is-the-group-bits",
            ]),
        Lie(
            testDescription: "chown does nothing", calls: [SYS_chown, SYS_lchown, SYS_fchown], error: 0,
            checks: ["chown/every-kind", "chown/by-descriptor", "chown/links", "chown/not-permitted"]),
        Lie(
            testDescription: "chown is refused", calls: [SYS_lchown], error: EPERM,
            checks: ["chown/every-kind", "chown/group-by-the-owner"]),
        Lie(
            testDescription: "link does nothing", calls: [SYS_link, SYS_linkat], error: 0,
            checks: ["link/every-kind", "link/exists", "link/directory", "link/symbolic-link"]),
        Lie(
            testDescription: "rename does nothing", calls: [SYS_rename], error: 0,
            checks: ["rename/every-kind", "rename/replaces", "rename/into-itself", "rename/sticky-source"]),
        Lie(
            testDescription: "rename has no error but EIO", calls: [SYS_rename], error: EIO,
            checks: ["rename/every-kind", "rename/onto-itself", "rename/missing", "rename/dots"]),
        Lie(
            testDescription: "truncate does nothing", calls: [SYS_truncate], error: 0,
            checks: ["truncate/sizes", "truncate/negative", "truncate/times", "truncate/permissions"]),
        Lie(
            testDescription: "ftruncate does nothing", calls: [SYS_ftruncate], error: 0,
            checks: ["ftruncate/sizes", "ftruncate/negative", "ftruncate/times"]),
        Lie(
            testDescription: "fallocate does nothing", calls: [SYS_fallocate], error: 0,
            checks: ["posix_fallocate/extends", "posix_fallocate/invalid-range"]),
        Lie(
            testDescription: "symlink does nothing", calls: [SYS_symlink], error: 0,
            checks: ["symlink/holds-its-target", "symlink/exists", "symlink/times"]),
        Lie(
            testDescription: "nodes are refused", calls: [SYS_mknod, SYS_mknodat], error: EPERM,
            checks: ["mknod/devices", "mkfifo/mode-and-umask", "mknod/ownership"]),
        Lie(
            testDescription: "times stay", calls: [SYS_utimensat], error: 0,
            checks: ["utimensat/nanoseconds", "utimensat/far-away", "utimensat/given-times-need-ownership"]),
        Lie(
            testDescription: "directories stay", calls: [SYS_rmdir], error: 0,
            checks: ["rmdir/removes", "rmdir/not-empty", "rmdir/sticky"]),
    ]

    @Test(arguments: lies) func isFoundOut(_ lie: Lie) throws {
        for name in lie.checks {
            let check = try #require(Catalogue.all.first { $0.name == name }, "no check \(name)")
            let outcome = try Self.outcome(of: check, under: lie)
            guard case .failed(let reason) = outcome else {
                Issue.record("\(name) ended as \(outcome) although \(lie.testDescription)")
                continue
            }
            #expect(!reason.isEmpty)
        }
    }

    private static func outcome(of check: Check, under lie: Lie) throws -> Outcome {
        let directory = try TemporaryDirectory(prefix: "conformance-lie.")
        let path = directory.path
        let box = Box()
        let thread = try Thread(name: "liar") {
            guard install(lie) else { return }
            box.value.withLock { $0 = Runner(directory: path).run(check) }
        }
        thread.join()
        return box.value.withLock { $0 }
    }

    private final class Box: Sendable {
        let value = Mutex(Outcome.unsupported("no filter"))
    }

    /// Puts the filter on the calling thread and those it starts.
    private static func install(_ lie: Lie) -> Bool {
        // struct sock_filter: code, jump if true, jump if false, constant.
        struct Instruction { var code: UInt16; var yes: UInt8 = 0; var no: UInt8 = 0; var constant: UInt32 }
        struct Program { var count: UInt16; var instructions: UnsafePointer<Instruction> }
        let load = Instruction(code: 0x20, constant: 0)  // BPF_LD|BPF_W|BPF_ABS: the system call's number
        let answer = Instruction(code: 0x06, constant: 0x0005_0000 | UInt32(lie.error))  // SECCOMP_RET_ERRNO
        let allow = Instruction(code: 0x06, constant: 0x7FFF_0000)  // SECCOMP_RET_ALLOW
        var filter = [load]
        for call in lie.calls {
            // BPF_JMP|BPF_JEQ|BPF_K
            filter.append(Instruction(code: 0x15, yes: 0, no: 1, constant: UInt32(call)))
            filter.append(answer)
        }
        filter.append(allow)
        return filter.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return false }
            var program = Program(count: UInt16(buffer.count), instructions: base)
            // PR_SET_NO_NEW_PRIVS, then PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
            return withUnsafePointer(to: &program) {
                vfs_prctl(38, 1, 0, 0, 0) == 0 && vfs_prctl(22, 2, UInt(bitPattern: $0), 0, 0) == 0
            }
        }
    }
}
#endif
