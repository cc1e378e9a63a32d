// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

struct ProcessArguments: ParsableArguments {
    @Option(
        help: .init(
            """
            Offer this many request queues, 1 to 64, each with a thread of its own. The VMM takes as many as it was \
            told (num-request-queues= of QEMU). Default: the CPUs, at most 8.
            """, valueName: "N"))
    var numRequestQueues: String?

    @Option(
        help: .init(
            """
            At most N threads, up to 32, for requests that wait for the host's disk, so that nothing else waits behind \
            them; others are answered by their queue's thread. 0: as without the option, 8.
            """, valueName: "N"))
    var threadPoolSize: String?

    @Option(
        help: .init(
            """
            How long a thread watches its empty queue before it sleeps, in microseconds: each sleep costs the guest two \
            wake-ups. auto: as long as has paid lately, at most 200, in vain for at most 5 % of the time, and never on a \
            host with one CPU. 0: never. Default: auto.
            """, valueName: "N|auto"))
    var pollUs: String?

    @Option(
        help: .init(
            "How many descriptors may be open; 0 leaves the limit alone. Default: as many as the host allows, at most 1000000.",
            valueName: "N"))
    var rlimitNofile: String?

    @Flag(help: "Exit when the first VMM disconnects, instead of waiting for the next.")
    var once = false

    @Option(
        help: .init(
            """
            What the daemon can reach. namespace (default): the share and nothing else; it becomes a process in namespaces \
            of its own. chroot (root only): the share is its root directory, for containers that forbid namespaces. none: all that \
            its user can.
            """, valueName: "namespace|chroot|none"))
    var sandbox: String?

    @Option(
        parsing: .singleValue,
        help: .init(
            """
            For ordinary users and --sandbox namespace: COUNT user ids from INSIDE on of the daemon, and so of the guest, are \
            those from OUTSIDE on of the host. May be given several times; ids other than your own are those of /etc/subuid. \
            Default: your own id is itself.
            """, valueName: ":INSIDE:OUTSIDE:COUNT:"))
    var uidMap: [String] = []

    @Option(
        parsing: .singleValue,
        help: .init("The same for groups, with /etc/subgid.", valueName: ":INSIDE:OUTSIDE:COUNT:"))
    var gidMap: [String] = []

    @Option(
        help: .init(
            """
            What happens when a thread makes a system call that it has no use for, as a hijacked one would. kill (default): \
            the daemon ends by SIGSYS; trap: the same, and stderr says which call; log: the kernel's log says so, nothing is \
            stopped; none: nobody looks.
            """, valueName: "kill|trap|log|none"))
    var seccomp: String?

    @Option(
        parsing: .unconditional,  // it may begin with a minus
        help: .init(
            """
            Keep other capabilities than a share needs, such as +sys_admin:-mknod. trusted.* attributes need sys_admin, \
            chattr +i and +a linux_immutable. Names of capabilities(7) without CAP_.
            """, valueName: "+CAP:-CAP…"))
    var modcaps: String?

    @Option(help: .init("Default: info.", valueName: "error|warn|info|debug|trace|off"))
    var logLevel: String?

    @Flag(help: "Log to syslog instead of stderr.")
    var syslog = false

    @Option(
        name: .customShort("o"), parsing: .singleValue,
        help: .init(
            "The list of QEMU's virtiofsd: source=, cache=, sandbox=, loglevel=, [no_]xattr, [no_]flock, … A comma in a value is written twice.",
            valueName: "LIST"))
    var legacy: [String] = []

    @Flag(name: .customShort("d"), help: .init("Deprecated: --log-level debug.", visibility: .hidden))
    var debug = false

    @Flag(name: .customShort("f"), help: .init("Deprecated, without effect.", visibility: .hidden))
    var foreground = false

    @Flag(help: "Print what the daemon can do as JSON, for libvirt, and exit.")
    var printCapabilities = false

    @Flag(name: [.customShort("V"), .long], help: "Print the version and exit.")
    var version = false
}
