// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// Guests whose file system device is `virtiofs device`, plugged into QEMU 11.1 by vfio-user.
@Suite(.serialized) struct VMDeviceTests {
    private static func isPossible(_ test: String) -> Bool {
        requirementsMet(test, .qemu, .lab, .debianRoot, .root)
    }

    private func share(_ tag: String, _ scratch: ScratchDirectory, queues: Int = 1) -> TestShare {
        var share = TestShare(tag, scratch.path, requestQueues: queues, options: ["--xattr"])
        share.device = .vfioUser
        return share
    }

    /// Two devices in one guest, with one queue and with four.
    private func suite(_ stack: Stack, line: Bool, _ scenarios: [String]) throws {
        let scratches = try [ScratchDirectory(), ScratchDirectory()]
        let shares = [share("one", scratches[0]), share("four", scratches[1], queues: 4)]
        let guest = try TestGuest(stack, shares, kernelArguments: line ? ["pci=nomsi"] : [])
        let interrupts = try guest.machine.execute(GuestCommand("cat /proc/interrupts")).text
        #expect(interrupts.contains("requests.0") != line, "\(interrupts)")
        for share in shares {
            for name in scenarios { try guest.run(name, in: "/mnt/\(share.tag)") }
            try guest.expectSameOnBothSides(share)
        }
        guest.end()
    }

    private static let all = ["core", "files", "names", "users", "programs"]

    @Test(.enabled(if: isPossible("VMDevice.suite")), arguments: [Stack.labQemu, .lab], [false, true])
    func suite(stack: Stack, line: Bool) throws {
        // Everything takes four minutes each.
        try suite(stack, line: line, environmentVariable("VERBOSE") != nil ? Self.all : ["core"])
    }

    /// What the guest sees of the device on its bus, and the memory that the VMM maps for it.
    @Test(.enabled(if: isPossible("VMDevice.regions")), arguments: [Stack.labQemu, .lab])
    func regions(stack: Stack) throws {
        let scratch = try ScratchDirectory()
        let table = "\(scratch.path)/table"
        try Files.replace(table, with: [UInt8](repeating: 0, count: 6 << 20))
        let file = OwnedDescriptor(adopting: try systemCall { open(table, O_RDWR | O_CLOEXEC) })
        var share = share("regions", scratch)
        share.windowMebibytes = 64
        // The window is there, but a write to a file is a request.
        share.dax = .never
        share.deviceOptions = ["--version-table=\(table)", "--journal=2M"]
        let guest = try TestGuest(stack, [share])
        // 6 MiB in 8, and 64 MiB; lspci of Debian 12 does not know the kind of these capabilities, so the rest is read by hand.
        let listing = try guest.debian("lspci -vv -d 1af4:105a 2>/dev/null").text
        #expect(listing.contains("Red Hat, Inc. Virtio file system"), "\(listing)")
        for (bar, size) in [(0, "16K"), (1, "4K"), (2, "8M"), (4, "64M")] {
            let lines = listing.split(separator: "\n").filter { $0.contains("Region \(bar): Memory at") }
            #expect(lines.contains { $0.contains("[size=\(size)]") }, "\(listing)")
        }
        for place in [
            "BAR=4 offset=00000000 size=04000000", "BAR=2 offset=00000000 size=00400000",
            "BAR=2 offset=00400000 size=00200000",
        ] { #expect(listing.contains(place), "\(listing)") }
        let bus = try guest.debian("exec python3 -", input: try Scenario("device").code, seconds: 120)
        #expect(bus.exitStatus == 0, "\(bus.errorText)\n\(listing)\n\(guest.tails)")
        #expect(
            bus.text == """
                BAR 2: 8388608
                BAR 4: 67108864
                region 0: BAR 4 offset 0 length 67108864
                region 1: BAR 2 offset 0 length 4194304
                region 2: BAR 2 offset 4194304 length 2097152

                """, "\(bus.text)\n\(listing)")
        // The driver has found the window.
        let log = String(decoding: guest.machine.kernelLog, as: UTF8.self)
        #expect(log.contains("Cache len: 0x4000000"), "\(guest.tails)")
        try visibility(guest, file)
        guest.end()
    }

    /// The host stores a number, the guest finds it in its memory and answers: how long that takes, and how long a request does.
    private func visibility(_ guest: TestGuest, _ table: consuming OwnedDescriptor) throws {
        let turns = 200 as UInt64
        let echo = "\(guest.daemons[1].configuration.directory)/echo"
        try Files.replace(echo, with: [UInt8](repeating: 0, count: 8))
        let partner = try VisibilityPartner(regions: SharedDescriptor(table), echo: echo, turns: turns)
        let device = guest.devices[0].share.socketPath
        let machines = HostProcess.all { $0.contains("vfio-user-pci") && $0.contains(device) }
        let host = try partner.start(machine: try #require(machines.first).number)
        let result: GuestResult
        do {
            defer {
                partner.end()
                host.join()
            }
            result = try guest.debian(
                "exec python3 - \(turns) \(partner.mark)", input: try Scenario("device").code, seconds: 120)
        }
        let failure = partner.failure.map { "\($0)" } ?? ""
        #expect(result.exitStatus == 0, "\(result.errorText)\n\(failure)\n\(guest.tails)")
        #expect(result.text.hasPrefix("seen \(2 * turns)\n"), "\(result.text)")
        let trips = try partner.roundTrips
        let middle = Double(trips[trips.count / 2]) / 1000
        print(
            "VMDeviceTests.regions: \(result.text)memory both ways: \(middle) us, least \(Double(trips[0]) / 1000)"
        )
    }

    /// Slow, and right.
    @Test(.enabled(if: requirementsMet("VMDevice.window", .qemu, .lab, .debianRoot, .root, .passthrough)))
    func window() throws {
        let scratch = try ScratchDirectory()
        let script = """
            cd "$0"
            for size in 1 4095 4097 70000; do head -c $size /dev/urandom >f$size; md5sum f$size >>sums; done
            """
        let made = try ChildProcess.run("/bin/sh", ["-ec", script, scratch.path])
        try #require(made.end == .exited(0), "\(String(decoding: made.errors, as: UTF8.self))")
        var share = share("dax", scratch)
        share.windowMebibytes = 64
        share.dax = .always
        share.options = ["--dax-min-size=1"]
        let guest = try TestGuest(.lab, [share])
        let sums = try guest.debian("cd /mnt/dax && md5sum -c sums", seconds: 120)
        #expect(sums.exitStatus == 0, "\(sums.text)\(sums.errorText)\n\(guest.tails)")
        let write = try guest.debian("printf guest | dd of=/mnt/dax/f4097 bs=1 seek=4090 conv=notrunc 2>&1")
        #expect(write.exitStatus == 0, "\(write.text)\n\(guest.tails)")
        #expect(try Array(Files.read("\(scratch.path)/f4097")[4090..<4095]) == Array("guest".utf8))
        guest.end()
    }

    /// The daemon dies under a running guest: what waits gets an error, and a remount finds the next daemon.
    @Test(.enabled(if: isPossible("VMDevice.daemon"))) func aDaemonThatDies() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("file", "kept\n")
        let own = try Files.ownProgram()
        let folder = own[..<(own.lastIndex(of: "/") ?? own.endIndex)]
        let directory = try ScratchDirectory()
        // The device starts its daemon itself, and another when that has ended.
        let device = try ListeningProcess(
            program: "\(folder)/virtiofs",
            arguments: [
                "device", "--vfio-user-socket=\(directory.path)/device", "--shared-dir=\(scratch.path)",
                "--tag=life",
                "--queue-size=128", "--", "--sandbox=none",
            ], socketPath: "\(directory.path)/device", subject: scratch.path)
        var configuration = Stack.lab.configuration
        var shown = GuestShare(tag: "life", socketPath: device.socketPath)
        shown.device = .vfioUser
        configuration.shares = [shown]
        let guest = try GuestMachine(booting: configuration)
        func run(_ script: String) throws -> GuestResult {
            var command = GuestCommand(script)
            command.timeoutMilliseconds = 60_000
            return try guest.execute(command)
        }
        for _ in 0..<3 {
            #expect(try run("cat /mnt/life/file").text == "kept\n")
            // While requests are under way.
            _ = try run(
                "rm -f /run/stop; setsid sh -c 'while [ ! -e /run/stop ]; do cat /mnt/life/file; done' >/dev/null 2>&1 & sleep 0.3"
            )
            let daemons = HostProcess.all {
                $0.contains("--shared-dir=\(scratch.path)\0") && $0.contains("virtiofsd")
            }
            #expect(!daemons.isEmpty)
            for daemon in daemons { kill(daemon.number, SIGKILL) }
            let dead = try run(
                "ls /mnt/life/other; touch /run/stop; for i in $(seq 50); do umount /mnt/life && echo gone && break; sleep 0.1; done"
            )
            #expect(dead.text.contains("gone"), "\(dead.text)\(dead.errorText)\(device.messageText)")
            // The mount waits for the next daemon.
            let again = try run("mount -t virtiofs life /mnt/life && cat /mnt/life/file")
            #expect(again.text == "kept\n", "\(again.errorText)\(device.messageText)")
        }
        guest.shutDown()
    }

    /// Unbinding a driver and binding it again, reboots, and machines that die: nothing is left of them.
    @Test(.enabled(if: isPossible("VMDevice.cycles"))) func cycles() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("file", "kept\n")
        let share = share("cycle", scratch)
        let daemon = try share.serve()
        let device = try share.serveDevice(daemon)
        var configuration = Stack.lab.configuration
        configuration.shares = [device.share]
        configuration.mayRestart = true
        let many = environmentVariable("VERBOSE") != nil
        func count() -> HostProcess.Counts {
            HostProcess.counts(ofSocket: device.share.socketPath, daemon.socketPath)
        }
        func run(_ guest: GuestMachine, _ script: String) throws -> String {
            var command = GuestCommand(script)
            command.timeoutMilliseconds = 300_000
            let result = try guest.execute(command)
            return result.text + result.errorText
        }
        // virtioN of the share: the one whose driver is virtiofs.
        let bind = """
            umount /mnt/cycle
            cd /sys/bus/virtio/drivers/virtiofs
            for i in $(seq 100); do
                set -- virtio*
                echo $1 >unbind && echo $1 >bind || exit 1
            done
            mount -t virtiofs cycle /mnt/cycle && cat /mnt/cycle/file
            """
        let before: HostProcess.Counts
        do {
            let machine = try GuestMachine(booting: configuration)
            #expect(try run(machine, bind) == "kept\n", "\(device.messageText)")
            before = count()
            #expect(before.descriptors > 0)
            #expect(try run(machine, bind) == "kept\n", "\(device.messageText)")
            for turn in 0..<(many ? 100 : 5) {
                try machine.restart()
                #expect(
                    try run(machine, "cat /mnt/cycle/file") == "kept\n",
                    "reboot \(turn): \(device.messageText)")
            }
            #expect(count().isNoMore(than: before))
        }
        var guest: GuestMachine? = try GuestMachine(booting: configuration)
        // A machine that is killed in the midst of work; the next is served.
        for turn in 0..<(many ? 20 : 3) {
            let busy =
                "setsid sh -c 'while :; do cat /mnt/cycle/file; ls -l /mnt/cycle; done' >/dev/null 2>&1 & cat /mnt/cycle/file"
            #expect(try run(try #require(guest), busy) == "kept\n")
            guest = nil
            guest = try GuestMachine(booting: configuration)
            #expect(try run(try #require(guest), "cat /mnt/cycle/file") == "kept\n", "machine \(turn)")
        }
        #expect(count().isNoMore(than: before), "\(device.messageText)")
        guest?.shutDown()
    }
}

/// A process of this host, found by its command line.
struct HostProcess {
    let number: pid_t

    /// What processes hold.
    struct Counts: Equatable, CustomStringConvertible {
        var descriptors = 0
        var threads = 0
        var mappings = 0

        /// The daemon keeps a few threads for requests that wait, which come and go.
        func isNoMore(than before: Counts) -> Bool {
            descriptors <= before.descriptors && mappings <= before.mappings && threads <= before.threads + 8
        }

        var description: String { "\(descriptors) descriptors, \(threads) threads, \(mappings) mappings" }
    }

    /// Those whose arguments, each ended by a NUL, are as wanted; not the processes that only guard them.
    static func all(_ isWanted: (String) -> Bool) -> [HostProcess] {
        ((try? Files.names(in: "/proc")) ?? []).compactMap { name in
            guard let number = pid_t(name), let line = try? Files.text("/proc/\(name)/cmdline"),
                isWanted(line),
                (try? Files.text("/proc/\(name)/comm")) != "virtiofs-guard\n"
            else { return nil }
            return HostProcess(number: number)
        }
    }

    /// What is held together by the processes that were given one of these sockets.
    static func counts(ofSocket paths: String...) -> Counts {
        var counts = Counts()
        for process in all({ line in paths.contains { line.contains("=\($0)\0") } }) {
            let place = "/proc/\(process.number)"
            counts.descriptors += ((try? Files.names(in: "\(place)/fd")) ?? []).count
            counts.threads += ((try? Files.names(in: "\(place)/task")) ?? []).count
            // Guest memory and the like; a heap may grow.
            let maps = (try? Files.text("\(place)/maps")) ?? ""
            counts.mappings += maps.split(separator: "\n").count { $0.contains("memfd:") }
        }
        return counts
    }
}
