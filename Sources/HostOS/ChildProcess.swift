// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import Synchronization

/// A program started by us, with a process group of its own; the whole group is dead when this value ends.
///
/// Between us and the program stands a guard (CLinux/spawn.c) that kills the group when we die, even by kill -9. Each child
/// has a thread of ours that starts it and waits for it: the kernel sends the parent-death signal when the *thread* that
/// forked ends, so that thread has to live as long as the child.
package final class ChildProcess: Sendable {
    /// How a process ended.
    package enum End: Equatable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)

        /// The status a shell would give: 128 + signal for a killed process.
        package var shellStatus: Int32 {
            switch self {
            case .exited(let status): status
            case .killed(let signal): 128 + signal
            }
        }
    }

    fileprivate enum State {
        case starting
        case failed(Errno)
        case running(pid_t)
        case ended(End)
    }

    fileprivate final class Shared: Sendable {
        let state = Mutex(State.starting)
        let started: EventFD
        let ended: EventFD

        init() throws(Errno) {
            started = try EventFD()
            ended = try EventFD()
        }
    }

    private let shared: Shared
    private let parent: Thread

    /// Starts `program` (a path) with `arguments` (without argv[0]); `descriptors[i]` becomes its descriptor i and it
    /// gets no other. They must stay open until this returns. `environment` are NAME=VALUE strings; nil means ours.
    package init(
        program: String, arguments: [String], environment: [String]? = nil, descriptors: [Int32]
    ) throws(Errno) {
        let shared = try Shared()
        self.shared = shared
        parent = try Thread(name: "parent") {
            do throws(Errno) {
                let process = try spawn(
                    [program] + arguments, environment ?? currentEnvironment(), descriptors)
                shared.state.withLock { $0 = .running(process) }
                shared.started.signal()
                shared.reap(process)
            } catch {
                shared.state.withLock { $0 = .failed(error) }
                shared.started.signal()
            }
            shared.ended.signal()
        }
        _ = waitReadable(shared.started.descriptor.rawValue, until: .never)
        if case .failed(let error) = shared.state.withLock({ $0 }) {
            parent.join()
            throw error
        }
    }

    deinit {
        if case .running = shared.state.withLock({ $0 }) { signal(SIGKILL) }
        if case .failed = shared.state.withLock({ $0 }) { return }
        parent.join()
    }

    /// Becomes and stays readable when the process has ended; for poll(2).
    package var endDescriptor: Int32 { shared.ended.descriptor.rawValue }

    /// How the process ended, or nil while it runs.
    package var end: End? {
        if case .ended(let end) = shared.state.withLock({ $0 }) { return end }
        return nil
    }

    /// Waits at most `milliseconds` (−1: for ever) for the end.
    package func wait(milliseconds: Int32 = -1) -> End? {
        _ = waitReadable(endDescriptor, until: Deadline(milliseconds: milliseconds))
        return end
    }

    /// Sends `number`, one of SIGTERM, SIGINT, SIGHUP, SIGQUIT and SIGKILL, to the whole process group if the process
    /// still runs.
    package func signal(_ number: Int32) {
        shared.state.withLock { state in
            if case .running(let guardian) = state {
                _ = kill(guardian, number == SIGKILL ? killSignal : number)
            }
        }
    }

    /// Asks the process to end, and kills it if it has not within `graceMilliseconds`.
    @discardableResult package func stop(graceMilliseconds: Int32) -> End? {
        signal(SIGTERM)
        if let end = wait(milliseconds: graceMilliseconds) { return end }
        signal(SIGKILL)
        return wait()
    }
}

extension ChildProcess {
    /// Runs `program` to its end without input and gives all it wrote.
    package static func run(
        _ program: String, _ arguments: [String]
    ) throws(Errno) -> (end: End, output: [UInt8], errors: [UInt8]) {
        let null = OwnedDescriptor(
            adopting: try systemCall { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) })
        let output = try makeMemoryFile(name: "output", byteCount: 0)
        let errors = try makeMemoryFile(name: "errors", byteCount: 0)
        let child = try ChildProcess(
            program: program, arguments: arguments,
            descriptors: [null.rawValue, output.rawValue, errors.rawValue])
        while true {
            guard let end = child.wait() else { continue }
            return (
                end, try Files.readAllFromStart(output.rawValue), try Files.readAllFromStart(errors.rawValue)
            )
        }
    }
}

extension ChildProcess.Shared {
    /// Waits for the end of `process` and reaps it, so that no signal of ours goes to a number that is somebody else's.
    fileprivate func reap(_ process: pid_t) {
        var information = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
        state.withLock { state in
            var status: Int32 = 0
            while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
            state = .ended(
                vfs_wait_exited(status) != 0
                    ? .exited(vfs_wait_exit_status(status)) : .killed(signal: vfs_wait_signal(status)))
        }
    }
}

/// Our environment as NAME=VALUE strings.
package func currentEnvironment() -> [String] {
    var result: [String] = []
    // SAFETY: environ is a NULL-terminated array of C strings; this process never changes it.
    guard var entry = unsafe vfs_environment() else { return [] }
    while let text = unsafe entry.pointee {
        unsafe result.append(String(cString: text))
        unsafe entry += 1
    }
    return result
}

private let killSignal = Int32(VFS_SPAWN_KILL)

private func spawn(_ argv: [String], _ environment: [String], _ descriptors: [Int32]) throws(Errno) -> pid_t {
    let arguments = CStringArray(argv)
    let variables = CStringArray(environment)
    return try systemCall {
        unsafe descriptors.withUnsafeBufferPointer { numbers in
            unsafe vfs_spawn(
                argv.first ?? "", arguments.base, variables.base, numbers.baseAddress,
                Int32(clamping: numbers.count))
        }
    }
}

/// A NULL-terminated array of C strings, as exec wants it.
@safe struct CStringArray: ~Copyable {
    let base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        unsafe base = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() { unsafe (base + index).initialize(to: strdup(string)) }
        unsafe (base + count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { unsafe free(base[index]) }
        unsafe base.deallocate()
    }
}
