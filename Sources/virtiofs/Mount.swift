// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// `--cache`.
enum CacheMode: String, ExpressibleByArgument, CaseIterable {
    case daemon, coherent
}

/// `virtiofs mount`.
struct MountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mount",
        abstract: "Mounts a virtiofsd on a directory of this host, without a virtual machine.",
        usage: """
            virtiofs mount (--socket-path <PATH> | --shared-dir <DIR>) [<options>] <MOUNTPOINT> [-- <daemon-option> ...]
            """,
        discussion: """
            Either give the socket of a daemon that runs already, or a directory, for which a daemon is started; what \
            follows -- are options for it. It ends by umount MOUNTPOINT, or by SIGINT or SIGTERM. Status 1: it could not \
            be mounted, or the daemon has ended before.

            virtiofs mount --shared-dir /srv/data /mnt
            virtiofs mount --socket-path /tmp/fs.sock /mnt
            """)

    @Argument(help: ArgumentHelp("An existing directory.", valueName: "MOUNTPOINT"))
    var mountPoint: String

    @OptionGroup var daemon: DaemonArguments

    @Option(help: ArgumentHelp("Request queues to use (default: 1).", valueName: "N"))
    var queues: Int?

    @Option(help: ArgumentHelp("Threads that carry requests (default: one to a queue).", valueName: "N"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Answer READs of large files from a DAX window of the daemon: how large it is, or with --socket-path how "
                + "much of it is used at most.", valueName: "SIZE"))
    var dax: MemoryArgument?

    @Option(
        help: ArgumentHelp(
            "What the kernel may cache: as the daemon says (default), or coherent: everything, for as long as nobody changes "
                + "it, neither here nor through another daemon nor on the host; with --version-table.",
            valueName: "daemon|coherent"))
    var cache: CacheMode = .daemon

    @Option(help: ArgumentHelp("The version table that the daemon was started with.", valueName: "PATH"))
    var versionTable: String?

    @Flag(name: [.customLong("read-only"), .customLong("readonly")], help: "Mount read-only.")
    var readOnly = false

    @Flag(help: "Stay in the foreground instead of returning when the mount is there.")
    var foreground = false

    @Flag(name: .shortAndLong, help: "With --foreground: show the messages of the daemon that is started.")
    var verbose = false

    @Option(help: .hidden)
    var readyDescriptor: Int32?

    func validate() throws {
        if (cache == .coherent) != (versionTable != nil) {
            throw ValidationError("--cache coherent and --version-table go together.")
        }
        if let queues, queues < 1 { throw ValidationError("--queues must be at least 1.") }
        if let threads, threads < 1 { throw ValidationError("--threads must be at least 1.") }
    }

    func run() throws {
        throw ExitCode(foreground ? MountSession(self).run() : MountBackground.run())
    }
}
