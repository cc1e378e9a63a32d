// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc

extension HostileCase {
    /// CVE-2020-10717.
    static let t01 = HostileCase(
        name: "T01", title: "a guest that opens files without end gets ENFILE, and everything else goes on"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--rlimit-nofile", "1100"])
        try rig.write("file", "x")
        let guest = try rig.guest()
        let file = try guest.lookup(.root, "file".utf8)
        var handles: [UInt64] = []
        verdict.expectRefusal(of: "opening two thousand files under a limit of 1100", .ENFILE) {
            for _ in 0..<2000 { handles.append(try guest.open(file.node, flags: Open.read).handle) }
        }
        verdict.expect(handles.count >= 32, else: "only \(handles.count) files can be open at a time")
        let held = try rig.descriptorCount(of: guest.frontend)
        verdict.expect(
            held <= 1090, else: "\(held) of 1100 descriptors are taken, none is left for the daemon itself")
        guard let first = handles.first else { return }
        verdict.expectSuccess(of: "reading at the limit") { try guest.read(file.node, first, size: 1) }
        verdict.expectSuccess(of: "LOOKUP and GETATTR at the limit") {
            _ = try guest.lookup(.root, "file".utf8)
            _ = try guest.getattr(file.node)
        }
        verdict.expectSuccess(of: "opening again after a RELEASE") {
            try guest.release(file.node, first)
            _ = try guest.open(file.node, flags: Open.read)
        }
    }

    /// The leak of a descriptor for each object with a label.
    static let t07 = HostileCase(
        name: "T07", title: "making a thousand labelled directories leaves no descriptor open"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--xattr", "--security-label"])
        let guest = try rig.guest()
        guard guest.agreedFlags & InitFlags.securityContext != 0 else {
            return verdict.fail("FUSE_SECURITY_CTX is not offered")
        }
        func makeLabelled() throws -> EntryOut {
            var argument = MkdirIn()
            argument.mode = 0o755
            var request = FuseRequest(.mkdir, .root, argument)
            request.append(name: "d".utf8)
            request.append(label: "security.selinux".utf8, value: "system_u:object_r:tmp_t:s0\0".utf8)
            return try guest.call(request, returning: EntryOut.self)
        }
        guard verdict.expectSuccess(of: "a labelled MKDIR", makeLabelled) != nil else { return }
        try guest.rmdir(.root, "d".utf8)
        let before = try rig.descriptorCount(of: guest.frontend)
        verdict.expectSuccess(of: "making a thousand") {
            for _ in 0..<1000 {
                let entry = try makeLabelled()
                try guest.rmdir(.root, "d".utf8)
                try guest.forget(entry.node)
            }
        }
        let after = try rig.descriptorCount(of: guest.frontend)
        verdict.expect(after <= before + 8, else: "\(after - before) descriptors more than before")
    }

    static let t20 = HostileCase(
        name: "T20", title: "nodes and handles that the guest was never told are nothing to it"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        try rig.write("file", "x")
        let guest = try rig.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.read).handle
        // Numbers near to known ones, and ones whose upper half is not that of the known.
        let near: [UInt64] = (1...64).flatMap {
            [file.nodeID &+ $0, $0 << 32 | file.nodeID & 0xffff_ffff, 1 << 63 | $0]
        }
        for number in near where number != file.nodeID && number != 1 {
            let node = NodeID(rawValue: number)
            verdict.expectRefusal(of: "GETATTR of a node that was never told") { try guest.getattr(node) }
            verdict.expectRefusal(of: "OPEN of a node that was never told") {
                try guest.open(node, flags: Open.read)
            }
        }
        for offset: UInt64 in 1...64 {
            for number in [handle &+ offset, offset << 32 | handle & 0xffff_ffff] where number != handle {
                verdict.expectRefusal(of: "READ of a handle that was never told") {
                    try guest.read(file.node, number, size: 1)
                }
            }
        }
        try guest.release(file.node, handle)
        verdict.expectRefusal(of: "READ of a handle that was released") {
            try guest.read(file.node, handle, size: 1)
        }
        try guest.forget(file.node)
        verdict.expectRefusal(of: "OPEN of a node that was forgotten") {
            try guest.open(file.node, flags: Open.read)
        }
        // A directory that the host has moved away has a parent that was never shared.
        try rig.makeDirectory("moved")
        let moved = try guest.lookup(.root, "moved".utf8)
        rename(rig.path("moved"), rig.outside + "/moved")
        var parent = stat()
        lstat(rig.outside, &parent)
        if let entry = try? guest.lookup(moved.node, "..".utf8) {
            verdict.expect(
                entry.nodeID == 0 || entry.attributes.ino != parent.st_ino,
                else: "LOOKUP of \"..\" of a directory that was moved away finds what is not shared")
        }
        verdict.expectRefusal(of: "LOOKUP through \"..\"") { try guest.lookup(moved.node, "../secret".utf8) }
    }
}
