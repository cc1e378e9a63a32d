// SPDX-License-Identifier: Apache-2.0
import Guest
import HostOS
import Testing

/// A daemon to attack, and behind which walls.
struct Opponent: Sendable, CustomTestStringConvertible {
    enum Daemon: String, Sendable { case ours, rust }

    let daemon: Daemon
    /// `--sandbox`.
    let mode: String

    var program: String {
        switch daemon {
        case .ours: ownDaemon
        case .rust: Lab.rustDaemon
        }
    }

    /// Whether it waits for the next front-end when one has gone.
    var outlivesFrontends: Bool { daemon == .ours }
    /// For requests on four queues at a time.
    var fourQueues: [String] { daemon == .ours ? ["--num-request-queues", "4"] : [] }
    /// With which it offers locks.
    var locks: [String]? { daemon == .ours ? ["--posix-lock", "--flock"] : nil }
    /// Ways to keep a guest's extended attributes, in each of which the cases about them hold.
    var attributeOptions: [[String]] { [["--xattr"], ["--xattr", "--xattrmap", ":map::user.virtiofs.:"]] }

    var testDescription: String { "\(daemon), sandbox \(mode)" }

    /// The walls that each case is tried behind.
    static let ours = ["none", "chroot", "namespace"].map { Opponent(daemon: .ours, mode: $0) }
    static let rust = ["none", "chroot", "namespace"].map { Opponent(daemon: .rust, mode: $0) }
}

private let ownDaemon: String = {
    let own = (try? Files.ownProgram()) ?? ""
    return own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/virtiofsd"
}()
