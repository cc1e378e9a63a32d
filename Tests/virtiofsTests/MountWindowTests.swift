// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// `virtiofs mount --dax` with our daemon.
@Suite(.serialized, .enabled(if: requirementsMet("MountWindowTests", .root, .fuse))) struct MountWindowTests {
    /// - Parameter options: of the daemon. With no cache each read(2) is a READ.
    private func mount(_ options: [String] = ["--cache=never"], _ more: [String] = []) throws -> MountProcess
    {
        try MountProcess(
            daemonOptions: ["--dax-min-size=1"] + options, options: ["--dax", "64M"] + more)
    }

    private func run(_ script: String, _ mount: MountProcess) throws -> String {
        let command = try Command("set -e; " + script, mount)
        let status = command.status
        return status == 0 ? command.text : "status \(status): \(command.text)"
    }

    /// Ends the mount; how many READs the window has answered, and how many there were, as the mount says.
    private func counts(_ mount: MountProcess) throws -> (hits: Int, all: Int) {
        #expect(try run("umount $M", mount) == "")
        #expect(mount.status == 0)
        let words = mount.text.split(separator: " ")
        let place = try #require(words.firstIndex(of: "answered"), "\(mount.text)")
        return (try #require(Int(words[place + 1])), try #require(Int(words[place + 3])))
    }

    /// Reads of what is a multiple of 2 MiB can be mapped on any host.
    @Test func readingAgain() throws {
        let mount = try mount()
        let script = """
            head -c 8388608 /dev/urandom > $S/f
            for i in 1 2 3; do dd if=$M/f bs=64k 2>/dev/null | cmp - $S/f; done
            dd if=$M/f bs=4099 2>/dev/null | cmp - $S/f
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        let counts = try counts(mount)
        #expect(counts.all > 3 * 128 + 2000)
        #expect(counts.hits > counts.all / 2, "\(counts)")
    }

    @Test func writesAreSeen() throws {
        let mount = try mount()
        let script = """
            head -c 4194304 /dev/zero > $S/f
            exec 3<>$M/f
            for i in $(seq 100); do
                printf "%08d" $i | dd of=$M/f bs=8 seek=$((i * 1000)) conv=notrunc 2>/dev/null
                [ $(dd if=$M/f bs=8 skip=$((i * 1000)) count=1 2>/dev/null) = $(printf "%08d" $i) ]
                printf "%08d" $i | dd of=$S/f bs=8 seek=$((i * 1000 + 5)) conv=notrunc 2>/dev/null
                [ $(dd if=$M/f bs=8 skip=$((i * 1000 + 5)) count=1 2>/dev/null) = $(printf "%08d" $i) ]
            done
            truncate -s 100000 $M/f; [ $(cat $M/f | wc -c) = 100000 ]
            truncate -s 4194304 $M/f; cmp $M/f $S/f
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        #expect(try counts(mount).hits > 0)
    }

    /// Cut by the host: within a second, readers know.
    @Test func cutByTheHost() throws {
        let mount = try mount()
        let script = """
            head -c 4194304 /dev/urandom > $S/f
            dd if=$M/f bs=64k of=/dev/null 2>/dev/null; dd if=$M/f bs=64k 2>/dev/null | cmp - $S/f
            truncate -s 5000 $S/f
            sleep 1.2
            cmp $M/f $S/f
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        _ = try counts(mount)
    }

    @Test func manyFilesAtOnce() throws {
        let mount = try mount(["--cache=never"], ["--queues", "2", "--threads", "3"])
        let script = """
            for i in $(seq 12); do head -c 4194304 /dev/urandom > $S/f$i; done
            for i in $(seq 12); do
                (for j in 1 2 3; do dd if=$M/f$i bs=32k 2>/dev/null | cmp - $S/f$i || exit 1; done) &
                all="$all $!"
            done
            for one in $all; do wait $one; done
            rm $M/f1; ls -l $M >/dev/null
            dd if=$M/f2 bs=32k 2>/dev/null | cmp - $S/f2
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        #expect(try counts(mount).hits > 0)
    }

    @Test func readOnly() throws {
        let mount = try mount(["--cache=never"], ["--read-only"])
        let script = """
            head -c 4194304 /dev/urandom > $S/f
            for i in 1 2 3; do dd if=$M/f bs=64k 2>/dev/null | cmp - $S/f; done
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        #expect(try counts(mount).hits > 0)
    }

    @Test(.enabled(if: requirementsMet("MountWindowTests.daemonsWithout", .lab))) func daemonsWithout() {
        let error = #expect(throws: MountProcess.NotMounted.self) {
            try MountProcess(daemon: Lab.rustDaemon, options: ["--dax", "64M"])
        }
        #expect(error?.text.contains("this virtiofsd has no DAX window") == true)
    }

    @Test func aRunningDaemonWithout() throws {
        let share = try TemporaryDirectory(prefix: "virtiofs-")
        let daemon = try DaemonProcess(DaemonConfiguration(tag: "t", directory: share.path))
        let error = #expect(throws: MountProcess.NotMounted.self) {
            try MountProcess(socket: daemon.socketPath, options: ["--dax", "64M"])
        }
        #expect(
            error?.text.contains("the daemon has none of at least 2 MiB; start it with --dax-window") == true,
            "\(error?.text ?? "")")
    }

    /// A part of a running daemon's window.
    @Test func aRunningDaemonsWindow() throws {
        let share = try TemporaryDirectory(prefix: "virtiofs-")
        var configuration = DaemonConfiguration(tag: "t", directory: share.path)
        configuration.windowMebibytes = 64
        configuration.options = ["--cache=never", "--dax-min-size=1"]
        let daemon = try DaemonProcess(configuration)
        let mount = try MountProcess(socket: daemon.socketPath, options: ["--dax", "8M"])
        let script = """
            S=\(share.path)
            head -c 33554432 /dev/urandom > $S/f
            for i in 1 2; do dd if=$M/f bs=256k 2>/dev/null | cmp - $S/f; done
            """
        do { let text = try run(script, mount); #expect(text == "", "\(text)") }
        #expect(try counts(mount).hits > 0)
        #expect(mount.text.contains(" of 4 are in use"))
    }
}
