// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import CLinux
import Errors
import Glibc
import Guest
import HostOS

/// `virtiofs vm`.
struct VM: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Boots a Linux guest with shares of this host and runs a command in it.",
        discussion: """
            Each share is mounted at /mnt/TAG of the guest. The command's output and exit status become ours; without a
            command you get a shell. Status 124: the time was over. 125: the guest could not be started or died.

            virtiofs vm --share src=. -- ls -l /mnt/src
            """)

    @Option(name: .customLong("share"), help: ArgumentHelp("Share DIR under a tag.", valueName: "TAG=DIR"))
    var shares: [ShareArgument] = []

    @Option(name: .customLong("share-ro"), help: ArgumentHelp("Share DIR read-only.", valueName: "TAG=DIR"))
    var readOnlyShares: [ShareArgument] = []

    @Option(help: ArgumentHelp("The guest's memory, such as 512M or 2G.", valueName: "SIZE"))
    var memory = MemoryArgument(mebibytes: 1024)

    @Option(help: ArgumentHelp("The guest's processors.", valueName: "N"))
    var cpus = 2

    @Option(help: "What runs the guest: qemu or uml.")
    var machine = Machine.qemu

    @Option(help: ArgumentHelp("The QEMU (or linux.uml) to use.", valueName: "PATH"))
    var qemu: String?

    @Option(help: "auto, kvm or tcg.")
    var accel = Accelerator.automatic

    @Option(help: ArgumentHelp("The kernel to boot (default: the newest of /boot).", valueName: "PATH"))
    var kernel: String?

    @Option(
        help: ArgumentHelp("The kernel's module folder (default: /lib/modules/VERSION).", valueName: "DIR"))
    var modules: String?

    @Option(help: ArgumentHelp("Use the share TAG as the guest's root file system.", valueName: "TAG"))
    var root: String?

    @Flag(help: "Let the kernel mount --root by itself, without an initramfs (needs virtiofs built in).")
    var kernelMountsRoot = false

    @Option(help: ArgumentHelp("The virtiofsd to use: ours, the Rust one or QEMU's.", valueName: "PATH"))
    var daemon: String?

    @Option(
        help: ArgumentHelp(
            "The daemon's cache mode: auto, always, shared, never or metadata.", valueName: "MODE"))
    var cache: String?

    @Flag(
        help: ArgumentHelp(
            "Run virtiofs-agent in the guest for each --share: the guest caches as with --cache always, sees at once what "
                + "others change, and its file watchers hear of it."))
    var agent = false

    @Option(help: ArgumentHelp("Request queues of each share.", valueName: "N"))
    var numRequestQueues = 1

    @Option(
        help: ArgumentHelp(
            "Give each --share a DAX window, such as 256M: the guest maps files of the host instead of reading them "
                + "(needs QEMU 11, which make lab fetches).", valueName: "SIZE"))
    var dax: MemoryArgument?

    @Option(help: "Which files: inode (those that the daemon says), always or never.")
    var daxMode: DAXMode?

    @Option(
        help: ArgumentHelp(
            "Whose device the guest sees: vhost-user (that of QEMU) or vfio-user (virtiofs device; needs QEMU 10.1, and "
                + "make lab fetches a newer one).", valueName: "KIND"))
    var device = ShareDevice.vhostUser

    @Option(
        help: ArgumentHelp("One more argument for the daemon, as --daemon-option=--xattr.", valueName: "ARG"))
    var daemonOption: [String] = []

    @Option(
        help: ArgumentHelp(
            "One more argument for virtiofs device, as --device-option=--journal=2M.", valueName: "ARG"))
    var deviceOption: [String] = []

    @Option(help: ArgumentHelp("More words for the kernel's command line.", valueName: "ARGS"))
    var append: [String] = []

    @Option(help: ArgumentHelp("One more argument for QEMU or UML.", valueName: "ARG"))
    var machineOption: [String] = []

    @Option(help: ArgumentHelp("End everything after S seconds with status 124.", valueName: "S"))
    var timeout: Int32?

    @Flag(name: .shortAndLong, help: "Show the kernel's log and the daemon's messages.")
    var verbose = false

    @Argument(parsing: .postTerminator, help: ArgumentHelp("What to run in the guest.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        if daxMode != nil && dax == nil { throw ValidationError("--dax-mode goes with --dax.") }
        if agent, shares.isEmpty { throw ValidationError("--agent is for a --share.") }
        if agent, let cache, cache != "shared" {
            throw ValidationError("--agent goes with --cache shared, which it sets.")
        }
        if agent, kernelMountsRoot { throw ValidationError("--agent needs an initramfs to come by.") }
        if !deviceOption.isEmpty && device != .vfioUser {
            throw ValidationError("--device-option goes with --device vfio-user.")
        }
        if dax != nil && shares.isEmpty {
            throw ValidationError("--dax is for a --share: QEMU maps no files of a read-only one.")
        }
    }

    func run() throws {
        let status = VMSession(self).run()
        throw ExitCode(status)
    }
}

/// TAG=DIR.
struct ShareArgument: ExpressibleByArgument {
    let tag: String
    let directory: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "=") else { return nil }
        tag = String(argument[..<equals])
        directory = String(argument[argument.index(after: equals)...])
        if tag.isEmpty || directory.isEmpty { return nil }
    }
}

/// A number with an optional K, M or G; without one it is bytes.
struct MemoryArgument: ExpressibleByArgument {
    let mebibytes: Int

    init(mebibytes: Int) { self.mebibytes = mebibytes }

    init?(argument: String) {
        let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
        let unit = argument.last.flatMap { units[Character($0.uppercased())] }
        let digits = unit == nil ? argument[...] : argument.dropLast()
        guard let number = Int(digits), number > 0 else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        if overflow || bytes < 1 << 20 { return nil }
        mebibytes = bytes >> 20
    }

    var defaultValueDescription: String { "\(mebibytes)M" }
}

extension ShareDevice: ExpressibleByArgument {}
extension Machine: ExpressibleByArgument {}
extension DAXMode: ExpressibleByArgument {}
extension Accelerator: ExpressibleByArgument {}
