// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS

/// `virtiofs mount --foreground` as a child process, on a directory of its own that is free again in the end.
final class MountProcess {
    /// What is mounted, and where.
    let share: String
    let path: String
    let process: ChildProcess
    private let directory: TemporaryDirectory
    private let output: OwnedDescriptor

    static let deadline: Int32 = 30_000

    /// - Parameters:
    ///   - daemon: a virtiofsd; nil for ours.
    ///   - socket: of a daemon that runs already and shares `share`, in which case the two above mean nothing.
    init(
        daemon: String? = nil, daemonOptions: [String] = [], socket: String? = nil, options: [String] = []
    ) throws {
        directory = try TemporaryDirectory(prefix: "virtiofs-mount-")
        share = directory.path + "/share"
        path = directory.path + "/mount"
        try Files.makeDirectories(share)
        try Files.makeDirectories(path)
        output = try makeMemoryFile(name: "output", byteCount: 0)
        let null = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
        var arguments = ["mount", "--foreground"] + options
        if let socket {
            arguments += ["--socket-path", socket, path]
        } else {
            arguments += ["--shared-dir", share] + (daemon.map { ["--daemon", $0] } ?? [])
            arguments += [path, "--"] + daemonOptions
        }
        process = try ChildProcess(
            program: virtiofs, arguments: arguments,
            descriptors: [null.rawValue, output.rawValue, output.rawValue])
        let limit = Deadline(milliseconds: Self.deadline)
        while !isMounted {
            if process.end != nil || limit.hasPassed { throw NotMounted(text: text) }
            usleep(10_000)
        }
    }

    struct NotMounted: Error { let text: String }

    deinit {
        process.signal(SIGTERM)
        _ = process.wait(milliseconds: Self.deadline)
        umount2(path, Int32(MNT_DETACH))
    }

    /// Answers, or is dead: whether something is mounted there.
    var isMounted: Bool {
        ReadAhead.device(ofMountAt: path, in: (try? Files.text("/proc/self/mountinfo")) ?? "") != nil
    }

    /// What it has written.
    var text: String { String(decoding: (try? Files.readAllFromStart(output.rawValue)) ?? [], as: UTF8.self) }

    /// Its exit status; nil when it does not end in time.
    var status: Int32? { process.wait(milliseconds: Self.deadline)?.shellStatus }
}

/// A shell command; $M is a mount, $S what is shared.
final class Command {
    private let process: ChildProcess
    private let output: OwnedDescriptor

    init(_ script: String, _ mount: MountProcess) throws {
        output = try makeMemoryFile(name: "output", byteCount: 0)
        let null = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
        process = try ChildProcess(
            program: "/bin/sh", arguments: ["-c", script],
            environment: currentEnvironment() + ["M=\(mount.path)", "S=\(mount.share)", "LC_ALL=C"],
            descriptors: [null.rawValue, output.rawValue, output.rawValue])
    }

    /// −1 when it does not end in time.
    var status: Int32 { process.wait(milliseconds: MountProcess.deadline)?.shellStatus ?? -1 }
    var text: String { String(decoding: (try? Files.readAllFromStart(output.rawValue)) ?? [], as: UTF8.self) }

    func signal(_ number: Int32) { process.signal(number) }

    /// Waits until it has written `wanted`.
    func writes(_ wanted: String) -> Bool {
        let limit = Deadline(milliseconds: MountProcess.deadline)
        while !text.contains(wanted) {
            if limit.hasPassed { return false }
            usleep(5_000)
        }
        return true
    }
}

/// The program beside the running test bundle.
let virtiofs: String = {
    let own = (try? Files.ownProgram()) ?? ""
    return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        + "/virtiofs"
}()
