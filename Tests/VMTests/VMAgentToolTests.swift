// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// Programs that people use.
@Suite(.serialized) struct VMAgentToolTests {
    /// entr(1) runs a command whenever one of its files changes.
    @Test(.enabled(if: requirementsMet("VMAgent.entr", .qemu, .debianRoot, .agent, .root, .entr)))
    func entrBuildsAgain() throws {
        let tools = try ScratchDirectory()
        let script = """
            program=$(command -v entr)
            cp "$program" "$1"
            ldd "$program" | grep -o '/[^ ]*' | while read -r library; do cp -L "$library" "$1"; done
            """
        try #require(try ChildProcess.run("/bin/sh", ["-ec", script, "sh", tools.path]).end == .exited(0))
        let rig = try AgentRig(.stock) { scratch in
            try scratch.write("source", "0")
            try #require(
                try ChildProcess.run("/bin/cp", ["-r", tools.path, "\(scratch.path)/tools"]).end == .exited(0)
            )
        }
        let builder = """
            cd \(AgentRig.mounted)
            echo source | setsid tools/ld-linux-x86-64.so.2 --library-path tools tools/entr -n \
                sh -c 'cat source >built.new; mv built.new built' >/tmp/entr.log 2>&1 &
            until [ -e stop ]; do sleep 0.1; done
            """
        nonisolated(unsafe) let guest = rig.guest
        let thread = try HostOS.Thread(name: "entr") { _ = try? guest.debian(builder, seconds: 240) }
        func isBuilt(_ text: String) -> Bool { rig.scratch.wait { $0.text("built") == text } }
        #expect(isBuilt("0"), "\(rig.guest.tails)")
        for (number, edit) in [
            "printf 1 >source", "printf 2 >.source.swp; mv .source.swp source", "printf 3 >source",
            "mv source source~; printf 4 >source; rm source~", "printf 5 >source",
        ].enumerated() {
            // entr(1) takes what comes while it builds for its own doing.
            usleep(500_000)
            try rig.host(edit)
            #expect(isBuilt("\(number + 1)"), "\(edit): \(rig.guest.tails)")
        }
        try rig.scratch.write("stop", "")
        thread.join()
        rig.guest.end()
    }

    /// The agent itself: what it says where it cannot work, and how it ends.
    @Test(.enabled(if: requirementsMet("VMAgent.messages", .qemu, .debianRoot, .agent, .root)))
    func saysWhatIsMissing() throws {
        let rig = try AgentRig(.stock)
        func run(_ code: String) throws -> String {
            var command = GuestCommand(code)
            command.timeoutMilliseconds = 60_000
            return try rig.guest.machine.execute(command).text
        }
        #expect(
            try run("virtiofs-agent /mnt/tools 2>&1; echo $?")
                == "virtiofs-agent: cannot follow /mnt/tools: its daemon does not tell what others change; start its daemon "
                + "with --cache shared --version-table PATH, as virtiofs vm --agent does\n1\n")
        #expect(try run("virtiofs-agent /tmp 2>&1; echo $?").contains("/tmp: it is no virtio-fs mount"))
        #expect(
            try run("mkdir /mnt/work/d; virtiofs-agent /mnt/work/d 2>&1").contains("it is no virtio-fs mount")
        )
        #expect(try run("virtiofs-agent /mnt/none 2>&1").contains("open /mnt/none: No such file"))
        let user = "/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups"
        let asUser = try run(
            "cp /bin/virtiofs-agent /mnt/tools/tmp; chroot /mnt/tools \(user) /tmp/virtiofs-agent /mnt/work 2>&1"
        )
        #expect(asUser.contains("we are not root"))

        // Told to end, it gives everything up: what is busy after that is the second mount.
        _ = try rig.guest.debian("pkill -TERM -o -x virtiofs-agent")
        #expect(rig.awaitMessage("as with --cache auto: its agent has ended"), "\(rig.messages)")
        let again = """
            umount /mnt/tools/mnt/work
            virtiofs-agent /mnt/work >/tmp/log 2>&1 &
            until grep -q follows /tmp/log; do sleep 0.1; done
            umount /mnt/work 2>/dev/null && echo "it was not busy"
            kill $!; wait $!; echo "status $?"; umount /mnt/work && echo unmounted
            """
        #expect(try run(again) == "status 0\nunmounted\n")
        rig.guest.end()
    }

    /// `virtiofs vm --agent`, by programs that are where `make build` puts them.
    @Test(.enabled(if: requirementsMet("VMAgent.command", .qemu, .agent, .root)))
    func commandStartsAnAgent() throws {
        let scratch = try ScratchDirectory()
        let programs = try ScratchDirectory()
        let own = try Files.ownProgram()
        let folder = own[..<(own.lastIndex(of: "/") ?? own.endIndex)]
        for name in ["virtiofs", "virtiofsd"] {
            try #require(
                try ChildProcess.run("/bin/cp", ["\(folder)/\(name)", programs.path]).end == .exited(0))
        }
        func run(_ command: String) throws -> (output: String, errors: String, end: ChildProcess.End) {
            let result = try ChildProcess.run(
                "\(programs.path)/virtiofs",
                [
                    "vm", "--verbose", "--agent", "--share", "work=\(scratch.path)", "--timeout", "120", "--",
                    "sh",
                    "-c", command,
                ])
            return (
                String(decoding: result.output, as: UTF8.self),
                String(decoding: result.errors, as: UTF8.self),
                result.end
            )
        }
        let none = try run("true")
        #expect(none.end == .exited(125) && none.errors.contains("run make build"), "\(none.errors)")
        // One that needs libraries, as a plain build makes it.
        try #require(
            try ChildProcess.run("/bin/cp", ["\(folder)/conformance", "\(programs.path)/virtiofs-agent"]).end
                == .exited(0))
        let dynamic = try run("true")
        #expect(
            dynamic.end == .exited(125) && dynamic.errors.contains("libraries of this host"),
            "\(dynamic.errors)")
        try #require(
            try ChildProcess.run("/bin/cp", [Lab.agent, "\(programs.path)/virtiofs-agent"]).end == .exited(0))
        let result = try run(
            "until [ $(grep -x virtiofs-agent /proc/[0-9]*/comm 2>/dev/null | wc -l) = 2 ]; do sleep 0.1; done; sleep 2"
        )
        #expect(result.end == .exited(0), "\(result.errors)")
        #expect(
            result.errors.contains("virtiofs-agent: /mnt/work: follows what others change"),
            "\(result.errors)")
        #expect(result.errors.contains("the guest caches long"), "\(result.errors)")
        let left = (try? Files.names(in: "/dev/shm"))?.filter { $0.hasPrefix("virtiofs-vm-") } ?? []
        #expect(left.allSatisfy { (try? Files.names(in: "/dev/shm/\($0)")) != [] }, "\(left)")
    }
}
