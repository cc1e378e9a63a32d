// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// Daemons and guests that come and go.
@Suite(.serialized) struct VMLifeTests {
    private func run(_ guest: GuestMachine, _ script: String, seconds: Int32 = 60) throws -> GuestResult {
        var command = GuestCommand(script)
        command.timeoutMilliseconds = seconds * 1000
        return try guest.execute(command)
    }

    private func configuration(_ stack: Stack, _ daemon: DaemonProcess) -> GuestConfiguration {
        var configuration = stack.configuration
        configuration.shares = [daemon.share]
        return configuration
    }

    @Test(.enabled(if: requirementsMet("VMLife.next", .qemu, .uml)))
    func daemonServesTheNextGuest() throws {
        let scratch = try ScratchDirectory()
        // With a tag of its own, which UML asks for.
        let daemon = try TestShare("life", scratch.path).serve(.uml)
        let first = try GuestMachine(booting: configuration(.stock, daemon))
        #expect(try run(first, "echo first >/mnt/life/file; sync").exitStatus == 0)
        first.shutDown()

        // One that dies in the middle of its work, without a word to the daemon.
        var second: GuestMachine? = try GuestMachine(booting: configuration(.uml, daemon))
        let busy =
            "setsid sh -c 'while :; do cat /bin/busybox >/mnt/life/copy; ls -l /mnt/life; done' >/dev/null 2>&1 & cat /mnt/life/file"
        if let guest = second { #expect(try run(guest, busy).text == "first\n") }
        #expect(scratch.wait { $0.has("copy") })
        second = nil

        let third = try GuestMachine(booting: configuration(.uml, daemon))
        #expect(
            try run(third, "cat /mnt/life/file; echo third >>/mnt/life/file; cp /bin/busybox /mnt/life/copy")
                .text == "first\n")
        #expect(
            try run(
                third,
                "cmp /bin/busybox /mnt/life/copy && umount /mnt/life && mount -t virtiofs life /mnt/life && cat /mnt/life/file"
            ).text == "first\nthird\n")
        third.shutDown()
        #expect(scratch.text("file") == "first\nthird\n")
        #expect(daemon.process.end == nil)
        #expect(daemon.process.stop(graceMilliseconds: 10_000) == .exited(0))
    }

    @Test(.enabled(if: requirementsMet("VMLife.once", .uml)))
    func daemonEndsWithItsOnlyGuest() throws {
        let scratch = try ScratchDirectory()
        let daemon = try TestShare("once", scratch.path, options: ["--once"]).serve(.uml)
        let guest = try GuestMachine(booting: configuration(.uml, daemon))
        #expect(try run(guest, "echo x >/mnt/once/file").exitStatus == 0)
        #expect(daemon.process.end == nil)
        guest.shutDown()
        #expect(daemon.process.wait(milliseconds: 10_000) == .exited(0))
        #expect(scratch.text("file") == "x\n")
    }

    /// QEMU keeps the device, dead; what matters is that the guest goes on and can be ended.
    @Test(.enabled(if: requirementsMet("VMLife.killed", .qemu)))
    func guestSurvivesItsDaemon() throws {
        let scratch = try ScratchDirectory()
        let doomed = try TestShare("doomed", scratch.path).serve()
        let other = try TestShare("other", scratch.path).serve()
        var configuration = GuestConfiguration()
        configuration.shares = [doomed.share, other.share]
        let guest = try GuestMachine(booting: configuration)
        #expect(try run(guest, "echo x >/mnt/doomed/file; cat /mnt/other/file").text == "x\n")
        doomed.process.signal(SIGKILL)
        #expect(doomed.process.wait(milliseconds: 10_000) == .killed(signal: SIGKILL))
        let script =
            "setsid cat /mnt/doomed/file >/run/got 2>&1 & sleep 1; cat /mnt/other/file; echo y >/mnt/other/new"
        #expect(try run(guest, script).text == "x\n")
        #expect(scratch.text("new") == "y\n")
        guest.shutDown()
        #expect(other.process.stop(graceMilliseconds: 10_000) == .exited(0))
    }

    @Test(.enabled(if: requirementsMet("VMLife.terminated", .qemu)))
    func daemonEndsInOrderUnderAGuest() throws {
        let scratch = try ScratchDirectory()
        let daemon = try TestShare("life", scratch.path).serve()
        let guest = try GuestMachine(booting: configuration(.stock, daemon))
        // Until then it is of this command's session, and ends with it.
        let busy =
            "setsid sh -c 'while :; do echo y >>/mnt/life/file; done' >/dev/null 2>&1 & "
            + "until [ -e /mnt/life/file ]; do sleep 0.1; done; echo started"
        #expect(try run(guest, busy).text == "started\n")
        #expect(scratch.wait { $0.has("file") })
        #expect(daemon.process.stop(graceMilliseconds: 10_000) == .exited(0))
        let lines = scratch.text("file")
        #expect(!lines.isEmpty && lines.allSatisfy { $0 == "y" || $0 == "\n" })
        guest.shutDown()
    }
}
