// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A program that outlives us, in a session of its own: what a background service is to the shell that starts it.
package enum DetachedProcess {
    /// Starts `program` (a path) with `arguments` (without argv[0]). It has no input, our standard output and standard error,
    /// and `descriptors` as its descriptors 3 and on; no others.
    ///
    /// - Returns: its process id, to be waited for if it ends before we do.
    package static func start(
        program: String, arguments: [String], descriptors: [Int32]
    ) throws(Errno) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        try check(unsafe posix_spawn_file_actions_init(&actions))
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        try check(unsafe posix_spawnattr_init(&attributes))
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        try check(unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID)))
        try check(unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0))
        for (index, number) in descriptors.enumerated() {
            try check(unsafe posix_spawn_file_actions_adddup2(&actions, number, Int32(3 + index)))
        }
        let first = Int32(3 + descriptors.count)
        try check(unsafe posix_spawn_file_actions_addclosefrom_np(&actions, first))
        let argv = CStringArray([program] + arguments)
        let variables = CStringArray(currentEnvironment())
        var process: pid_t = 0
        try check(unsafe posix_spawn(&process, program, &actions, &attributes, argv.base, variables.base))
        return process
    }

    /// Waits for the end of a process that `start` gave; the status a shell would give.
    package static func wait(_ process: pid_t) throws(Errno) -> Int32 {
        var status: Int32 = 0
        _ = try systemCall { unsafe waitpid(process, &status, 0) }
        return vfs_wait_exited(status) != 0 ? vfs_wait_exit_status(status) : 128 + vfs_wait_signal(status)
    }

    /// For what has been started so: gives up the terminal and the working directory of whoever started it.
    package static func forgetCaller() throws(Errno) {
        let null = OwnedDescriptor(
            adopting: try systemCall { unsafe open("/dev/null", O_RDWR | O_CLOEXEC) })
        let number = null.rawValue
        for standard: Int32 in 0...2 { _ = try systemCall { dup2(number, standard) } }
        _ = try systemCall { unsafe chdir("/") }
    }

    /// posix_spawn(3) and its kin return their error.
    private static func check(_ code: Int32) throws(Errno) {
        if code != 0 { throw Errno(rawValue: code) }
    }
}
