// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

/// `--seccomp` where the host has a say.
@Suite struct FilterTests {
    /// Runs the daemon, for a second if it does not end by itself, on a thread whose seccomp(2) fails with `code`.
    private func run(_ arguments: [String], refusing code: Int32) throws -> (
        end: ChildProcess.End, errors: String
    ) {
        let outcome = Mutex<Result<(ChildProcess.End, String), any Error>>(.failure(Errno.ESRCH))
        try HostOS.Thread(name: "starter") {
            let result = Result {
                try refuseFilters(code)
                let run = try ChildProcess.run("/usr/bin/timeout", ["1", executable] + arguments)
                return (run.end, String(decoding: run.errors, as: UTF8.self))
            }
            outcome.withLock { $0 = result }
        }.join()
        return try outcome.withLock { $0 }.get()
    }

    @Test(arguments: [EPERM, ENOSYS, EINVAL]) func aHostWithoutFilters(code: Int32) throws {
        let directory = try makeTemporaryDirectory()
        defer { removeTree(directory) }
        let arguments = [
            "--shared-dir", directory, "--socket-path", directory + "/socket", "--sandbox", "none",
        ]
        for action in [[], ["--seccomp", "kill"], ["--seccomp", "trap"], ["--seccomp", "log"]] {
            let (end, errors) = try run(arguments + action, refusing: code)
            #expect(end == .exited(1))
            #expect(
                errors.hasSuffix(
                    "virtiofsd: cannot filter this process's system calls: \(describe(Errno(rawValue: code))); allow seccomp(2) "
                        + "where this process is confined, or say --seccomp none\n"))
        }
        let (end, errors) = try run(arguments + ["--seccomp", "none"], refusing: code)
        #expect(end == .exited(124) && errors.contains("Waiting for vhost-user socket connection"))
    }
}

/// Lets seccomp(2) of the calling thread, and of what it starts, fail with `code`.
private func refuseFilters(_ code: Int32) throws {
    // struct sock_filter of <linux/filter.h>: code, jumps if true and false, operand. The call's number is the first word of
    // seccomp_data; SECCOMP_RET_ERRNO or SECCOMP_RET_ALLOW.
    var program: [UInt64] = [
        0x20, 0x15 | 1 << 24 | UInt64(SYS_seccomp) << 32, 0x06 | (0x0005_0000 | UInt64(code)) << 32,
        0x06 | 0x7fff_0000 << 32,
    ]
    try program.withUnsafeMutableBytes { program in
        // struct sock_fprog: a count, and a pointer on the next word.
        var description = (UInt(4), UInt(bitPattern: program.baseAddress))
        _ = try systemCall { vfs_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
        try withUnsafeMutablePointer(to: &description) { pointer in
            _ = try systemCall { vfs_prctl(PR_SET_SECCOMP, 2, UInt(bitPattern: pointer), 0, 0) }
        }
    }
}
