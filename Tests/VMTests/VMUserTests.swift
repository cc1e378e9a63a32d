// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// `virtiofs vm` for somebody who is not root.
@Suite(.serialized) struct VMUserTests {
    private static let uid: uid_t = 1000
    private static let gid: gid_t = 1000

    @Test(.enabled(if: requirementsMet("VMUser", .qemu, .root)))
    func whatTheGuestsRootMakesIsTheUsers() throws {
        let scratch = try ScratchDirectory()
        let own = try Files.ownProgram()
        let built = own.prefix(upTo: try #require(own.lastIndex(of: "/")))
        // The programs may have been built where only root can go.
        let made = try ChildProcess.run(
            "/bin/sh",
            [
                "-ec",
                """
                chmod 755 "$0"; cp "$1/virtiofs" "$1/virtiofsd" "$0"; mkdir "$0/home" "$0/share"
                echo host >"$0/share/from-host"; chown -R \(Self.uid):\(Self.gid) "$0/home" "$0/share"
                """, scratch.path, String(built),
            ])
        try #require(made.end == .exited(0), "\(String(decoding: made.errors, as: UTF8.self))")
        // Whoever may use KVM need not wait for an emulated processor.
        var kvm = stat()
        let groups = stat("/dev/kvm", &kvm) == 0 ? "--groups=\(kvm.st_gid)" : "--clear-groups"
        let inGuest = """
            set -e; cd /mnt/s; cat from-host; stat -c '%u %g' . from-host; echo guest >from-guest; mkdir -m 700 d
            echo secret >d/inner; chmod 0 d/inner; cat d/inner; ln -s inner d/link; mv from-guest moved; chown 0:0 moved
            chown 5 moved 2>/dev/null || echo refused; ls /mnt/s/.. >/dev/null; stat -c '%u %g' moved d
            """
        let (end, output, errors) = try ChildProcess.run(
            "/usr/bin/setpriv",
            [
                "--reuid=\(Self.uid)", "--regid=\(Self.gid)", groups, "/usr/bin/env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=\(scratch.path)/home",
                "TMPDIR=\(scratch.path)/home",
                "\(scratch.path)/virtiofs", "vm", "--share", "s=\(scratch.path)/share", "--timeout", "300",
                "--",
                "sh", "-c", inGuest,
            ])
        #expect(end == .exited(0), "\(String(decoding: errors, as: UTF8.self))")
        #expect(
            String(decoding: output, as: UTF8.self) == "host\n0 0\n0 0\nsecret\nrefused\n0 0\n0 0\n",
            "\(String(decoding: errors, as: UTF8.self))")
        for name in ["moved", "d", "d/inner", "d/link"] {
            var status = stat()
            #expect(lstat("\(scratch.path)/share/\(name)", &status) == 0)
            #expect(status.st_uid == Self.uid && status.st_gid == Self.gid, "\(name)")
        }
        #expect(try Files.text("\(scratch.path)/share/moved") == "guest\n")
    }
}
