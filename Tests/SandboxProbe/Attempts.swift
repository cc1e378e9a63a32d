// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// What a daemon that a guest has taken over would try.
struct Attempts: ~Copyable {
    private let root: Int32
    private let process: OwnProcess
    private let path: String

    init(root: Int32, process: consuming OwnProcess, path: String) {
        self.root = root
        self.process = process
        self.path = path
    }

    func run(careful isCareful: Bool) {
        tell("process id", "\(getpid())")
        tell("ids", "\(geteuid()) \(getegid())")
        tell("root directory", names(open("/", O_RDONLY | O_DIRECTORY)))
        tell("share", names(openat(root, ".", O_RDONLY | O_DIRECTORY)))
        tell("above the share", result(openat(root, "../outside", O_RDONLY)))
        tell("above the root directory", result(open("/../outside", O_RDONLY)))
        tell("beside the share", result(open(path + "/../outside", O_RDONLY)))
        tell("above the descriptors", result(openat(process.descriptors.rawValue, "../status", O_RDONLY)))
        tell("other processes", result(openat(process.descriptors.rawValue, "../../1/status", O_RDONLY)))
        tell("above the threads", result(openat(process.tasks, "../status", O_RDONLY)))
        tell("own descriptor", result(openAgain(root)))
        tell("interfaces", interfaces())
        tell("shared memory", result(shmget(0x5a17, 0, 0)))
        tell("device", result(openat(root, "device", O_RDONLY)))
        tell("program", program())
        if !isCareful { tell("new file", result(openat(root, "new", O_CREAT | O_WRONLY, 0o644))) }
        var status = statvfs()
        tell("set-id", fstatvfs(root, &status) == 0 && status.f_flag & 2 == 0 ? "heeded" : "ignored")
        let attributes = vfs_open_thread_attributes(process.tasks)
        tell("own attributes", result(openat(attributes, "current", O_RDONLY)))
    }

    private func tell(_ key: String, _ value: String) { say("\(key): \(value)\n", to: STDOUT_FILENO) }

    private func result(_ number: Int32) -> String {
        number >= 0 ? "reached" : describe(Errno(rawValue: errno))
    }

    /// Opens what is open already once more, as the daemon does.
    private func openAgain(_ descriptor: Int32) -> Int32 {
        openat(process.descriptors.rawValue, "\(descriptor)", O_RDONLY | O_DIRECTORY)
    }

    private func names(_ directory: Int32) -> String {
        guard directory >= 0, let stream = fdopendir(directory) else { return "none" }
        var result: [String] = []
        while let entry = readdir(stream) {
            result.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return result.filter { $0 != "." && $0 != ".." }.sorted().joined(separator: " ")
    }

    private func interfaces() -> String {
        guard let list = if_nameindex() else { return "none" }
        defer { if_freenameindex(list) }
        var result: [String] = []
        var entry = list
        while entry.pointee.if_index != 0, let name = entry.pointee.if_name {
            result.append(String(cString: name))
            entry += 1
        }
        return result.sorted().joined(separator: " ")
    }

    /// Executes the program of the share in a child.
    private func program() -> String {
        let child = vfs_fork()
        if child == 0 {
            fchdir(root)
            // What it says is of no interest.
            close(STDOUT_FILENO)
            close(STDERR_FILENO)
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("program"), nil]
            execv("./program", &arguments)
            _exit(100 + (errno == EACCES ? 1 : 0))
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        switch vfs_wait_exit_status(status) {
        case 101: return "Permission denied"
        case 100: return "not executed"
        default: return "executed"
        }
    }
}
