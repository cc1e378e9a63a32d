// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// A directory of the host, served by one of the daemons and mounted by `virtiofs mount`; unmounted at the end.
final class MountedShare {
    private static let startMilliseconds: Int32 = 20_000

    let mountPoint: String
    private let scratch: TemporaryDirectory
    private let mount: ChildProcess
    private let messages: OwnedDescriptor

    /// `daemon` nil: ours. `daemonOptions` are its own, `options` the mount's; `shared` nil: a directory of its own.
    init(
        _ daemon: String?, _ daemonOptions: [String], options: [String] = [], shared directory: String? = nil
    ) throws {
        scratch = try TemporaryDirectory(prefix: "mount-test-", in: "/var/tmp")
        _ = chmod(scratch.path, 0o755)
        mountPoint = scratch.path + "/mnt"
        let shared = directory ?? scratch.path + "/shared"
        try Files.makeDirectories(mountPoint)
        try Files.makeDirectories(shared)
        messages = try makeMemoryFile(name: "messages", byteCount: 0)
        let program = daemon ?? Built.path("virtiofsd")
        mount = try ChildProcess(
            program: Built.path("virtiofs"),
            arguments: ["mount", "--foreground", "--verbose", "--shared-dir", shared, "--daemon", program]
                + options + [mountPoint, "--"] + daemonOptions,
            descriptors: [STDIN_FILENO, messages.rawValue, messages.rawValue])
        let deadline = Deadline(milliseconds: Self.startMilliseconds)
        while try !Files.text("/proc/self/mounts").contains(" \(mountPoint) fuse") {
            let pause = Deadline(milliseconds: 20).earlier(deadline)
            if waitReadable(mount.endDescriptor, until: pause) || deadline.hasPassed {
                Issue.record("virtiofs mount: \(messageText)")
                throw Errno.ENODEV
            }
        }
    }

    deinit {
        mount.stop(graceMilliseconds: 5000)
        _ = umount2(mountPoint, Int32(MNT_DETACH))  // what is left if it did not end by itself
    }

    /// What the mount and its daemon said.
    var messageText: String {
        String(decoding: (try? Files.readAllFromStart(messages.rawValue)) ?? [], as: UTF8.self)
    }
}

/// The programs of this package, which are built beside the tests.
enum Built {
    static func path(_ name: String) -> String {
        let own = (try? Files.ownProgram()) ?? ""
        return own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/" + name
    }
}

/// Runs the program `conformance`, at most `seconds` long; gives how it ended (nil: it did not) and all it wrote.
func runConformance(_ arguments: [String], seconds: Int32) throws -> (end: ChildProcess.End?, text: String) {
    let output = try makeMemoryFile(name: "output", byteCount: 0)
    let child = try ChildProcess(
        program: Built.path("conformance"), arguments: arguments,
        descriptors: [STDIN_FILENO, output.rawValue, output.rawValue])
    let end = child.wait(milliseconds: seconds * 1000)
    if end == nil {
        child.signal(SIGKILL)
        _ = child.wait(milliseconds: 10_000)
    }
    return (end, String(decoding: try Files.readAllFromStart(output.rawValue), as: UTF8.self))
}
