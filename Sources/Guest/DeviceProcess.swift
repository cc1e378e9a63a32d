// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// A running `virtiofs device` for one share; it ends with this value.
package final class DeviceProcess {
    private let listener: ListeningProcess
    private let directory: TemporaryDirectory
    /// The share as the guest gets it.
    package let share: GuestShare

    /// Starts the device for a share of a running daemon, and waits until it listens.
    ///
    /// - Parameters:
    ///   - program: the `virtiofs` to start.
    ///   - share: as it is without this device.
    ///   - options: more arguments.
    package init(
        program: String, for share: GuestShare, options: [String] = [], verbose: Bool = false
    ) throws(StartupError) {
        directory = try starting("make", "a temporary directory") { () throws(Errno) in
            try TemporaryDirectory(prefix: "virtiofs-")
        }
        let socketPath = directory.path + "/device"
        listener = try ListeningProcess(
            program: program,
            arguments: Self.arguments(socketPath: socketPath, for: share) + options
                + (verbose ? ["--verbose"] : []),
            socketPath: socketPath, subject: share.tag, verbose: verbose)
        var shown = share
        shown.socketPath = socketPath
        shown.device = .vfioUser
        self.share = shown
    }

    package var process: ChildProcess { listener.process }
    /// What the device wrote, unless it wrote to our standard error.
    package var messageText: String { listener.messageText }

    /// Its arguments; pure.
    static func arguments(socketPath: String, for share: GuestShare) -> [String] {
        [
            "device", "--vfio-user-socket=\(socketPath)", "--socket-path=\(share.socketPath)",
            "--tag=\(share.tag)",
            "--request-queues=\(share.requestQueues)", "--queue-size=\(share.queueSize)",
        ] + (share.windowMebibytes.map { ["--dax-window=\($0)M"] } ?? [])
    }
}
