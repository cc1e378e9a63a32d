// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// The command line as it is declared: names and help only. What the values mean is decided in CommandLine.swift.
struct Arguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "virtiofsd",
        abstract: "Serve a host directory to one virtual machine over vhost-user (virtio-fs).",
        usage: "virtiofsd --shared-dir <DIR> --socket-path <PATH> [OPTIONS]",
        discussion: """
            Give the same PATH to the VMM: it connects, and the guest mounts the tag that the VMM gave the device: \
            mount -t virtiofs TAG /mnt. docs/options.md compares each option with virtiofsd 1.14.
            """)

    @OptionGroup(title: "What is shared, and where") var place: PlaceArguments
    @OptionGroup(title: "What the guest may keep") var caching: CachingArguments
    @OptionGroup(title: "What the guest may do") var features: FeatureArguments
    @OptionGroup(title: "Whose files they are, and what their attributes are called") var maps: MapArguments
    @OptionGroup(title: "How much the guest may use") var limits: LimitArguments
    @OptionGroup(title: "Files as memory (DAX)") var window: WindowArguments
    @OptionGroup(title: "Caches that are never stale") var table: TableArguments
    @OptionGroup(title: "How the daemon runs") var process: ProcessArguments
    @OptionGroup(visibility: .hidden) var unbuilt: UnbuiltArguments
}

struct PlaceArguments: ParsableArguments {
    @Option(help: .init("The directory to serve, or a single regular file.", valueName: "DIR"))
    var sharedDir: String?

    @Option(
        help: .init(
            """
            Where to listen. The socket appears when the daemon is ready, with mode 0600. One that is left from before \
            is replaced only if nobody answers on it.
            """, valueName: "PATH"))
    var socketPath: String?

    @Option(help: .init("Give the socket to this group, with mode 0660.", valueName: "GROUP"))
    var socketGroup: String?

    @Option(help: .init("Listen on this inherited descriptor instead of a path.", valueName: "N"))
    var fd: String?

    @Option(
        help: .init(
            """
            The name the guest mounts, 1 to 36 bytes. Only for VMMs that ask the daemon for it (crosvm); QEMU and \
            cloud-hypervisor name the device themselves.
            """, valueName: "TAG"))
    var tag: String?

    @Option(help: .init("Deprecated: --socket-path.", valueName: "PATH", visibility: .hidden))
    var socket: String?
}

struct CachingArguments: ParsableArguments {
    @Option(
        help: .init(
            """
            auto (default): names and attributes for 1 s, data until the file is opened again. always: everything for a \
            day; for a share that others change seldom. shared: as always while virtiofs-agent runs in the guest and makes \
            it see what others change, with --version-table; else as auto. metadata: names and attributes for a day, data never. \
            never: nothing; slowest, sees every change of the host at once.
            """, valueName: "auto|always|shared|metadata|never"))
    var cache: String?

    @Flag(
        help: """
            Nobody but this guest changes the share; with --cache always. The guest then opens files and directories \
            without asking and believes what it knows for a year: fewest requests, but changes from elsewhere may never show.
            """)
    var exclusive = false

    @Option(
        help: .init(
            """
            Use a looked-up name for this long without asking (decimals allowed). Longer: fewer requests; a rename \
            on the host shows later. Default: by --cache.
            """, valueName: "SECONDS"))
    var entryTimeout: String?

    @Option(help: .init("The same for attributes (size, times, mode).", valueName: "SECONDS"))
    var attrTimeout: String?

    @Option(
        help: .init(
            "Believe for this long that a missing name is missing; a file made on the host shows up that much later.",
            valueName: "SECONDS"))
    var negativeTimeout: String?

    @Flag(
        help: """
            Let the guest collect writes and send them later in larger pieces. Fast for small writes; the host sees \
            them late, and two writers of one file overwrite each other.
            """)
    var writeback = false

    @Flag(help: "Allow mmap(MAP_SHARED) under --cache never and metadata. Mappings may then show stale data.")
    var allowMmap = false

    @Flag(
        help:
            "List directories without their files' attributes: better where names are listed and nothing else."
    )
    var noReaddirplus = false
}

struct FeatureArguments: ParsableArguments {
    @Flag(help: "Refuse every change with EROFS, whatever the guest's mount says.")
    var readonly = false

    @Flag(help: "Extended attributes. Costs a request for each write unless killpriv v2 is on.")
    var xattr = false

    @Option(
        name: .customLong("posix-acl"),
        help: .init(
            """
            POSIX access control lists; implies --xattr. auto: if the guest knows them; always (also without a value): \
            a guest that does not is refused. Default: never.
            """, valueName: "never|auto|always"))
    var posixACL: String?

    @Option(
        help: .init(
            "Security labels (SELinux) given when a file is made; implies --xattr. Values as for --posix-acl.",
            valueName: "never|auto|always"))
    var securityLabel: String?

    @Flag(
        name: .customLong("killpriv-v2"),
        help:
            "The daemon clears set-id bits and capabilities on write (default): saves the guest a request each."
    )
    var killprivV2 = false

    @Flag(name: .customLong("no-killpriv-v2"), help: "The guest clears them itself. Try this on NFS.")
    var noKillprivV2 = false

    @Flag(
        help:
            "Show host mounts inside the share as mounts of their own (default), so that inode numbers stay unique."
    )
    var announceSubmounts = false

    @Flag(help: "Show everything as one file system.")
    var noAnnounceSubmounts = false

    @Option(
        help: .init(
            """
            How an inode is remembered. prefer (default): by file handle where that works, few descriptors; never: a \
            descriptor each; mandatory: by handle or the guest gets an error. Handles need CAP_DAC_READ_SEARCH.
            """, valueName: "never|prefer|mandatory"))
    var inodeFileHandles: String?

    @Flag(help: "Pass O_DIRECT on to the host: no host page cache, but the guest must align its buffers.")
    var allowDirectIo = false

    @Flag(help: "Pass O_NOATIME on to the host, which refuses it for files of others.")
    var preserveNoatime = false

    @Flag(
        help: """
            fcntl() locks of the guest are locks on the host too, seen by other guests and processes. Each costs a \
            request; without this they hold within the guest only.
            """)
    var posixLock = false

    @Flag(help: "The same for flock().")
    var flock = false
}

/// Options of virtiofsd 1.14 that are refused; see Unbuilt.swift.
struct UnbuiltArguments: ParsableArguments {
    @Option var migrationMode: String?
    @Option var migrationOnError: String?
    @Flag var migrationVerifyHandles = false
    @Flag var migrationConfirmPaths = false
}
