// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Errors
import Guest
import HostOS

/// The daemon that serves the requests of a mount or of a device: one that runs already, or one that we start for a directory.
struct DaemonArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The socket of a running daemon.", valueName: "PATH"))
    var socketPath: String?

    @Option(help: ArgumentHelp("Start a daemon for this directory.", valueName: "DIR"))
    var sharedDir: String?

    @Option(
        name: .customLong("daemon"),
        help: ArgumentHelp("The virtiofsd to start: ours, the Rust one or QEMU's.", valueName: "PATH"))
    var program: String?

    @Argument(
        parsing: .postTerminator, help: ArgumentHelp("Options for the daemon.", valueName: "daemon-option"))
    var daemonOptions: [String] = []

    func validate() throws {
        if (socketPath == nil) == (sharedDir == nil) {
            throw ValidationError("Give either --socket-path or --shared-dir.")
        }
        if socketPath != nil && (program != nil || !daemonOptions.isEmpty) {
            throw ValidationError("--daemon and daemon options go with --shared-dir.")
        }
    }

    /// What the user knows it by.
    var source: String { sharedDir ?? socketPath ?? "" }

    /// The daemon to be started; nil where one runs already.
    ///
    /// - Throws: when there is no such program.
    func configuration(
        tag: String, requestQueues: Int, window: MemoryArgument?
    ) throws(StartupError) -> DaemonConfiguration? {
        guard let sharedDir else { return nil }
        var daemon = DaemonConfiguration(tag: tag, directory: sharedDir)
        daemon.program = try DaemonProcess.program(program)
        daemon.requestQueues = requestQueues
        daemon.windowMebibytes = window?.mebibytes
        daemon.options = daemonOptions
        return daemon
    }

    /// A connection to the daemon that listens at `path`.
    static func connect(to path: String) throws(StartupError) -> OwnedDescriptor {
        try starting("connect to", path) { () throws(Errno) in
            let socket = try makeUnixSocket()
            try connectUnixSocket(socket.rawValue, to: path)
            return socket
        }
    }
}
