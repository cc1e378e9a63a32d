// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS

@testable import Frontend

/// A mount of a `ScriptedDaemon` on a directory of its own, used by child processes, and gone in the end whatever happened.
final class MountBench {
    let daemon: ScriptedDaemon
    let mount: Mount
    private let directory: TemporaryDirectory

    static let deadline: Int32 = 20_000

    private init(
        _ daemon: ScriptedDaemon, _ socket: consuming OwnedDescriptor, _ options: (inout MountOptions) -> Void
    )
        throws
    {
        self.daemon = daemon
        directory = try TemporaryDirectory(prefix: "mount-test-")
        var mount = MountOptions(mountPoint: directory.path, source: "scripted")
        options(&mount)
        self.mount = try Mount(socket, mount)
    }

    deinit {
        mount.close()
        umount2(directory.path, Int32(MNT_DETACH))
    }

    var path: String { directory.path }

    static func with<Result>(
        queues: Int = 1, windowByteCount: UInt64 = 0, _ options: (inout MountOptions) -> Void = { _ in },
        script: @escaping ScriptedDaemon.Script = { _ in nil }, _ body: (MountBench) throws -> Result
    ) throws -> Result {
        try ScriptedDaemon.start(queues: queues, windowByteCount: windowByteCount, script) {
            (daemon, socket) in
            try body(try MountBench(daemon, socket, options))
        }
    }

    /// Starts a shell command in the mount's directory; $M is its path.
    func start(_ command: String) throws -> Caller { try Caller(command, mountPoint: path) }

    /// Runs one to its end; −1 when it hangs.
    func run(_ command: String) throws -> Int32 { try start(command).status }
}

/// A process that uses a mount.
final class Caller {
    private let process: ChildProcess
    private let output: OwnedDescriptor

    init(_ command: String, mountPoint: String) throws {
        output = try makeMemoryFile(name: "output", byteCount: 0)
        let null = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
        process = try ChildProcess(
            program: "/bin/sh", arguments: ["-c", command],
            environment: currentEnvironment() + ["M=\(mountPoint)", "LC_ALL=C"],
            descriptors: [null.rawValue, output.rawValue, output.rawValue])
    }

    /// Its exit status; −1 when it does not end in time.
    var status: Int32 { process.wait(milliseconds: MountBench.deadline)?.shellStatus ?? -1 }

    /// All that it has written so far.
    var text: String { String(decoding: (try? Files.readAllFromStart(output.rawValue)) ?? [], as: UTF8.self) }

    func kill() { process.signal(SIGKILL) }
}

/// Whether this process may mount, for `.enabled(if:)`.
func canMount(_ test: String) -> Bool { requirementsMet(test, .root, .fuse) }
