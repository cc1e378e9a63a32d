// SPDX-License-Identifier: Apache-2.0
import Guest
import HostOS
import Testing

/// Debian runs from a share as its root file system.
@Suite(.serialized) struct VMRootTests {
    private static let makeAndInstallPackage = """
        set -e
        mkdir -p /tmp/p/DEBIAN /tmp/p/opt/p
        printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: d\\n' >/tmp/p/DEBIAN/control
        echo content >/tmp/p/opt/p/file
        dpkg-deb --build /tmp/p /tmp/p.deb >/dev/null
        dpkg -i /tmp/p.deb >/dev/null
        dpkg --audit
        dpkg --verify p
        dpkg-query -W p
        """

    private func check(_ stack: Stack, _ root: (String) -> GuestRoot) throws {
        let scratch = try ScratchDirectory()
        let copy = "\(scratch.path)/root"
        try #require(
            try ChildProcess.run("/bin/cp", ["-a", "--reflink=auto", Lab.debianRoot, copy]).end == .exited(0))
        let daemon = try TestShare("rootfs", copy, options: ["--xattr"]).serve()
        var configuration = stack.configuration
        configuration.root = root("rootfs")
        configuration.shares = [daemon.share]
        configuration.shares[0].mounted = false
        let guest = try GuestMachine(booting: configuration)
        func run(_ script: String) throws -> GuestResult {
            // Not the session's own shell, which may be busybox and prefer its own dpkg.
            var command = GuestCommand(arguments: ["/bin/bash", "-c", script])
            command.timeoutMilliseconds = 180_000
            return try guest.execute(command)
        }
        #expect(
            try run("grep ' / ' /proc/mounts | grep -v rootfs.rootfs").text.hasPrefix("rootfs / virtiofs rw,")
        )
        #expect(try run("dpkg --audit; cat /etc/debian_version").text.split(separator: "\n").count == 1)
        let installed = try run(Self.makeAndInstallPackage)
        #expect(installed.text == "p\t1\n" && installed.exitStatus == 0, "\(installed.errorText)")
        #expect(try run("python3 -c 'import json; print(json.dumps([1]))'").text == "[1]\n")
        #expect(try run("echo written >/root/by-guest; sync").exitStatus == 0)
        guest.shutDown()
        #expect(try Files.text("\(copy)/root/by-guest") == "written\n")
        #expect(try Files.text("\(copy)/opt/p/file") == "content\n")
        #expect(try Files.text("\(copy)/var/lib/dpkg/info/p.list").contains("/opt/p/file"))
    }

    @Test(.enabled(if: requirementsMet("VMRoot.byKernel", .qemu, .lab, .debianRoot, .root)))
    func mountedByTheKernel() throws { try check(.lab) { .kernelMounted(tag: $0) } }

    @Test(.enabled(if: requirementsMet("VMRoot.byInitramfs", .qemu, .debianRoot, .root)))
    func mountedByAnInitramfs() throws { try check(.stock) { .share(tag: $0) } }
}
