// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

/// The built daemon with maps.
@Suite(.enabled(if: geteuid() == 0, "needs root: trusted attributes and other users")) struct MapProcessTests
{
    private func guest(_ daemon: DaemonProcess) throws -> FuseClient {
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        return guest
    }

    private let capability = "security.capability".utf8

    /// In virtiofsd 1.14 every WRITE fails then.
    @Test func aMapThatTheDaemonHasNoRightToDoesNotStopWriting() throws {
        let daemon = try DaemonProcess(["--xattrmap=:map::trusted.virtiofs.:"])
        #expect(daemon.said.contains { $0.contains("say --modcaps +sys_admin, or lead it to user.*") })
        let guest = try guest(daemon)
        let file = try guest.create(.root, "file".utf8, flags: UInt32(O_RDWR), mode: 0o444)
        let node = NodeID(rawValue: file.entry.nodeID)
        #expect(throws: Errno.EPERM) { try guest.setxattr(node, capability, [1]) }
        #expect(throws: Errno.ENODATA) { try guest.getxattr(node, capability) }
        #expect(try guest.write(node, file.open.handle, [1, 2, 3]) == 3)
        _ = try guest.truncate(node, to: 1)
        _ = try guest.chown(node, uid: 1, gid: 1)
    }

    @Test func withTheRightItIsAsElsewhere() throws {
        let daemon = try DaemonProcess(["--xattrmap=:map::trusted.virtiofs.:", "--modcaps=+sys_admin"])
        #expect(!daemon.said.contains { $0.contains("--xattrmap") })
        let guest = try guest(daemon)
        let file = try guest.create(.root, "file".utf8, flags: UInt32(O_RDWR))
        let node = NodeID(rawValue: file.entry.nodeID)
        try guest.setxattr(node, capability, [1])
        var value = [UInt8](repeating: 0, count: 8)
        let name = "trusted.virtiofs.security.capability"
        #expect(getxattr(daemon.share + "/file", name, &value, value.count) == 1)
        _ = try guest.write(node, file.open.handle, [1])
        #expect(getxattr(daemon.share + "/file", name, &value, value.count) == -1 && errno == ENODATA)
    }

    /// What launchers give an ordinary user's daemon: whoever makes a file in the guest, it is the user's.
    @Test func allOfTheGuestIsOneUser() throws {
        let daemon = try DaemonProcess([
            "--translate-uid", "squash-guest:0:1234:4294967295", "--translate-gid",
            "squash-guest:0:1235:4294967295", "--translate-uid=squash-host:1234:0:1",
        ])
        chown(daemon.share, 1234, 1235)
        let guest = try guest(daemon)
        for (index, uid) in [0, 1, 1000, 4_294_967_294].enumerated() as EnumeratedSequence<[UInt32]> {
            (guest.uid, guest.gid) = (uid, uid)
            let made = try guest.mkdir(.root, "d\(index)".utf8)
            #expect(made.attributes.uid == 0 && made.attributes.gid == 1235)
            var status = stat()
            #expect(lstat(daemon.share + "/d\(index)", &status) == 0)
            #expect(status.st_uid == 1234 && status.st_gid == 1235)
        }
    }
}
