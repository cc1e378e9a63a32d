// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc

extension HostileCase {
    /// VFS_CAP_REVISION_2 with CAP_CHOWN permitted and effective.
    private static let capability: [UInt8] = [UInt32(0x0200_0001), 1, 0, 0, 0].flatMap { wireBytes(of: $0) }

    /// CVE-2021-20263.
    static let t03 = HostileCase(
        name: "T03",
        title: "a file that is changed loses its capabilities, under whatever name the host keeps them"
    ) { opponent, verdict in
        for options in opponent.attributeOptions {
            let rig = try HostileRig(opponent, options)
            let how = options.contains("--xattrmap") ? " with an xattr map" : ""
            try rig.write("file", "0123456789")
            try rig.write("source", "abc")
            let guest = try rig.guest()
            let file = try guest.lookup(.root, "file".utf8)
            let handle = try guest.open(file.node, flags: Open.readWrite).handle
            let source = try guest.lookup(.root, "source".utf8)
            let sourceHandle = try guest.open(source.node, flags: Open.read).handle
            let name = "security.capability".utf8
            func after(_ what: String, _ change: () throws -> Void) {
                verdict.expectSuccess(of: "\(what)\(how)") {
                    try guest.setxattr(file.node, name, capability)
                    try change()
                }
                let left = try? guest.getxattr(file.node, name)
                verdict.expect(left == nil, else: "\(what) keeps the capabilities\(how)")
            }
            after("WRITE") { _ = try guest.write(file.node, handle, [1]) }
            after("truncating") { _ = try guest.truncate(file.node, to: 5) }
            after("chown") { _ = try guest.chown(file.node, uid: 1, gid: 1) }
            after("FALLOCATE") { try guest.fallocate(file.node, handle, offset: 0, length: 65536) }
            after("COPY_FILE_RANGE") {
                var copy = CopyFileRangeIn()
                (copy.handleIn, copy.handleOut, copy.nodeIDOut, copy.length) = (
                    sourceHandle, handle, file.nodeID, 3
                )
                _ = try guest.copyFileRange(source.node, copy, narrow: true)
            }
            after("OPEN with O_TRUNC") { _ = try guest.open(file.node, flags: Open.write | Open.truncate) }
        }
    }

    /// CVE-2022-0358, and the group that stays behind after a request.
    static let t04 = HostileCase(
        name: "T04", title: "neither the daemon's own groups nor one request's count for the next request"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, launcher: ["/usr/bin/setpriv", "--groups", "4242"])
        try rig.makeDirectory("shared", mode: 0o2777, gid: 4242)
        try rig.makeDirectory("closed", mode: 0o770, gid: 4242)
        let guest = try rig.guest()
        let shared = try guest.lookup(.root, "shared".utf8)
        let closed = try guest.lookup(.root, "closed".utf8)
        func mkdir(_ name: String, group: UInt32? = nil) throws {
            var argument = MkdirIn()
            argument.mode = 0o755
            var request = FuseRequest(.mkdir, closed.node, argument)
            request.append(name: name.utf8)
            if let group { request.append(supplementaryGroup: group) }
            _ = try guest.call(request, returning: EntryOut.self)
        }
        (guest.uid, guest.gid) = (1000, 1000)
        verdict.expectSuccess(of: "CREATE in a directory for all") {
            _ = try guest.create(shared.node, "program".utf8, flags: Open.readWrite, mode: 0o2755)
        }
        let mode = (try? rig.status("shared/program").st_mode) ?? 0
        verdict.expect(
            mode & S_ISGID == 0, else: "a guest's user makes a set-group-id program of the daemon's group")
        verdict.expectRefusal(of: "MKDIR by the daemon's own group", .EACCES) { try mkdir("a") }
        guard guest.agreedFlags & InitFlags.createSupplementaryGroup != 0 else {
            return verdict.note("FUSE_CREATE_SUPP_GROUP is not offered")
        }
        (guest.uid, guest.gid) = (0, 0)
        verdict.expectSuccess(of: "MKDIR by root with a group") { try mkdir("b", group: 4242) }
        (guest.uid, guest.gid) = (1000, 1000)
        verdict.expectRefusal(of: "MKDIR by a user after root's request with a group", .EACCES) {
            try mkdir("c")
        }
        verdict.expectSuccess(of: "MKDIR by a user with the group") { try mkdir("d", group: 4242) }
        verdict.expectRefusal(of: "MKDIR by a user after a request with the group", .EACCES) {
            try mkdir("e")
        }
    }

    /// CVE-2023-1386.
    static let t16 = HostileCase(
        name: "T16",
        title: "set-user-id and set-group-id go when the guest says so, and with a change of owner"
    ) { opponent, verdict in
        for options in [[], ["--writeback"]] {
            let rig = try HostileRig(opponent, options)
            let how = options.isEmpty ? "" : " with --writeback"
            try rig.write("file", "0123456789")
            try rig.write("source", "abc")
            let guest = try rig.guest()
            guard guest.agreedFlags & InitFlags.handleKillPrivV2 != 0 else {
                verdict.note("HANDLE_KILLPRIV_V2 is off by default: the guest itself clears the bits")
                return
            }
            let file = try guest.lookup(.root, "file".utf8)
            let handle = try guest.open(file.node, flags: Open.readWrite).handle
            func after(_ what: String, _ change: () throws -> Void) {
                chmod(rig.path("file"), 0o6755)
                verdict.expectSuccess(of: "\(what)\(how)", change)
                let bits = ((try? rig.status("file").st_mode) ?? 0) & 0o6000
                verdict.expect(bits == 0, else: "\(what) keeps set-user-id or set-group-id\(how)")
            }
            after("WRITE with KILL_SUIDGID") {
                _ = try guest.write(file.node, handle, [1], writeFlags: WriteIn.killSuidGid)
            }
            after("truncating with KILL_SUIDGID") {
                var argument = SetAttrIn()
                argument.valid = SetAttrValid.size | SetAttrValid.killSuidGid
                argument.size = 4
                _ = try guest.setattr(file.node, argument)
            }
            after("OPEN with O_TRUNC and KILL_SUIDGID") {
                _ = try guest.open(
                    file.node, flags: Open.write | Open.truncate, openFlags: OpenIn.killSuidGid)
            }
            after("chown") { _ = try guest.chown(file.node, uid: 5, gid: 5) }
        }
    }
}
