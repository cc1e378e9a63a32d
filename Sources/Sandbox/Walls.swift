// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// What stands between the daemon and its host in `--sandbox namespace`. All of it, but in tests, which show what each is for.
package struct Walls: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A process sees and signals only those of its own namespace.
    package static let processes = Walls(rawValue: 1 << 0)
    /// No network interface but a loopback that is down.
    package static let network = Walls(rawValue: 1 << 1)
    /// No System V objects and message queues of the host.
    package static let ipc = Walls(rawValue: 1 << 2)
    /// A host name of its own.
    package static let hostName = Walls(rawValue: 1 << 3)
    /// The share as the root directory of a mount namespace of its own, with nothing above it.
    package static let root = Walls(rawValue: 1 << 4)
    /// The share's mounts are nodev, nosuid, noexec, and with `--readonly` ro.
    package static let mountFlags = Walls(rawValue: 1 << 5)
    /// The way to /proc/self/fd is a mount of its own, which has no `..`.
    package static let processDirectory = Walls(rawValue: 1 << 6)
    /// Whoever serves dies with the process that its launcher knows.
    package static let parentDeath = Walls(rawValue: 1 << 7)

    package static let all: Walls = [
        .processes, .network, .ipc, .hostName, .root, .mountFlags, .processDirectory, .parentDeath,
    ]
}

/// The wall that could not be raised, why, and what else one can do.
func wallError(_ wall: String, _ error: Errno, hint: String? = nil) -> StartupError {
    let usual =
        switch error {
        case .EPERM:
            "allow it, or where it is forbidden (a container, a system call filter, an administrator) give --sandbox chroot "
                + "(root only) or --sandbox none"
        case .ENOSPC, .EUSERS:
            "raise user.max_user_namespaces and its like, or give --sandbox chroot (root only) or --sandbox none"
        case .ENOSYS, .EINVAL: "this kernel cannot; give --sandbox chroot (root only) or --sandbox none"
        default: "or give --sandbox chroot (root only) or --sandbox none"
        }
    return StartupError(
        operation: "raise", subject: "the sandbox's \(wall)", reason: describe(error), hint: hint ?? usual)
}

/// `step`, which raises `wall`.
func raising<Result: ~Copyable>(
    _ wall: String, hint: String? = nil, _ step: () throws(Errno) -> Result
) throws(StartupError) -> Result {
    do throws(Errno) {
        return try step()
    } catch {
        throw wallError(wall, error, hint: hint)
    }
}
