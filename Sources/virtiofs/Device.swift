// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import PciDevice

/// `virtiofs device`.
struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Is a virtio file system device on the PCI bus of a VMM that speaks vfio-user.",
        usage: """
            virtiofs device --vfio-user-socket <PATH> (--socket-path <PATH> | --shared-dir <DIR>) [<options>] [-- \
            <daemon-option> ...]
            """,
        discussion: """
            QEMU 10.1 or newer plugs it in by vfio-user-pci, Cloud Hypervisor by --user-device. Requests are served by a \
            vhost-user daemon: either give the socket of one that runs already, or a directory, for which one is started; \
            what follows -- are options for it. It serves one VMM after the other until SIGINT or SIGTERM.

            virtiofs device --vfio-user-socket /tmp/device.sock --shared-dir /srv/data --tag data
            """)

    @Option(help: ArgumentHelp("Where the VMM connects.", valueName: "PATH"))
    var vfioUserSocket: String

    @OptionGroup var daemon: DaemonArguments

    @Option(
        help: ArgumentHelp("The name by which the guest mounts it (default: the daemon's).", valueName: "TAG")
    )
    var tag: String?

    @Option(help: ArgumentHelp("Request queues: 1 to 64.", valueName: "N"))
    var requestQueues = 1

    @Option(help: ArgumentHelp("Descriptors in each queue: a power of two up to 1024.", valueName: "N"))
    var queueSize = 1024

    @Option(
        help: ArgumentHelp(
            "Show shared memory region 1, the version table: of this size, all zeros, or the file that others write, less the "
                + "journal at its end.", valueName: "SIZE|PATH"))
    var versionTable: TableArgument?

    @Option(help: ArgumentHelp("Show shared memory region 2, the journal, of this size.", valueName: "SIZE"))
    var journal: MemoryArgument?

    @Option(
        help: ArgumentHelp(
            "Show shared memory region 0, the daemon's DAX window. Each access of the guest to it is a message to us: "
                + "slow.", valueName: "SIZE"))
    var daxWindow: MemoryArgument?

    @Flag(name: .shortAndLong, help: "Say more, and show the messages of the daemon that is started.")
    var verbose = false

    func validate() throws {
        if daemon.sharedDir != nil && tag == nil { throw ValidationError("--shared-dir needs a --tag.") }
        guard (1...DeviceOptions.maximumRequestQueues).contains(requestQueues) else {
            throw ValidationError("--request-queues must be 1 to \(DeviceOptions.maximumRequestQueues).")
        }
        guard (2...1024).contains(queueSize), queueSize & (queueSize - 1) == 0 else {
            throw ValidationError("--queue-size must be a power of two from 2 to 1024.")
        }
        for (name, size) in [("--journal", journal), ("--version-table", versionTable?.size)] {
            if let size, size.mebibytes % 2 != 0 {
                throw ValidationError("\(name) must be a multiple of 2M.")
            }
        }
        if let size = daxWindow?.mebibytes, size < 2 || size & (size - 1) != 0 {
            throw ValidationError("--dax-window must be a power of two from 2M on.")
        }
    }

    func run() throws {
        throw ExitCode(DeviceSession(self).run())
    }
}

/// A size, or the path of a file.
enum TableArgument: ExpressibleByArgument {
    case size(MemoryArgument)
    case path(String)

    init?(argument: String) {
        if argument.isEmpty { return nil }
        self = MemoryArgument(argument: argument).map { .size($0) } ?? .path(argument)
    }

    var size: MemoryArgument? { if case .size(let size) = self { size } else { nil } }
}
