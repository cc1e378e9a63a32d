// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

/// Ids in requests and replies are the guest's, those on the host's disk the host's.
@Suite(.enabled(if: isRoot, "files of others need root")) struct TranslationTests {
    /// Guest users 0…9 are 5000…5009 of the host, its user 20 may not be used, and the host's 6000 is the guest's 30; groups
    /// have other numbers.
    private func share(_ configure: (inout ShareOptions) -> Void = { _ in }) throws -> TestShare {
        let test = try TestShare {
            $0.users = try! IdMap(
                parsing: Array("map:0:5000:10\nforbid-guest:20:1\nhost:6000:30:1".utf8))
            $0.groups = try! IdMap(
                parsing: Array("map:0:7000:10\nforbid-guest:40:1\nsquash-host:8000:50:10".utf8))
            configure(&$0)
        }
        chmod(test.path, 0o777)
        _ = try test.initialize()
        return test
    }

    private func owner(_ test: TestShare, _ name: String) -> [UInt32] {
        test.fs.enterDaemon()
        let status = test.status(name)
        return [status.st_uid, status.st_gid]
    }

    private func owner(_ entry: EntryOut) -> [UInt32] { [entry.attributes.uid, entry.attributes.gid] }

    @Test func whatIsMadeBelongsToTheHostsUser() throws {
        let test = try share()
        let file = try test.create("f", O_RDWR, as: .user(1, 2)).entry
        #expect(owner(file) == [1, 2] && owner(test, "f") == [5001, 7002])
        #expect(owner(try test.mkdir("d", as: .user(3, 4))) == [3, 4] && owner(test, "d") == [5003, 7004])
        #expect(owner(try test.mknod("p", S_IFIFO | 0o600, as: .user(5))) == [5, 5])
        #expect(owner(test, "p") == [5005, 7005])
        #expect(owner(try test.symlink("l", to: "f", as: .root)) == [0, 0])
        // The guest's root is the user that it is translated to, not the daemon.
        #expect(owner(test, "l") == [5000, 7000])
        var arguments = CreateIn()
        (arguments.flags, arguments.mode) = (UInt32(bitPattern: O_RDWR), S_IFREG | 0o600)
        let unnamed = try test.request { try $0.tmpfile(.user(6, 7), parent: .root, arguments) }
        #expect(owner(unnamed.entry) == [6, 7])
        #expect(owner(try test.create("other", O_RDWR, as: .user(77, 78)).entry) == [77, 78])
        #expect(owner(test, "other") == [77, 78])
    }

    @Test func everyReplyHasTheGuestsIDs() throws {
        let test = try share()
        test.write("f")
        chown(test.host("f"), 6000, 8003)
        let entry = try test.lookup("f")
        let node = NodeID(rawValue: entry.nodeID)
        #expect(owner(entry) == [30, 50])
        let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: nil).attributes }
        #expect([attributes.uid, attributes.gid] == [30, 50])
        let extended = try test.request { try $0.statx(.root, nodeID: node, handle: nil, StatxIn()).stat }
        #expect([extended.uid, extended.gid] == [30, 50])
        #expect(owner(try test.link(node, "g")) == [30, 50])
        var arguments = SetAttrIn()
        (arguments.valid, arguments.mode) = (SetAttrValid.mode, 0o640)
        let changed = try test.request { try $0.setattr(.root, nodeID: node, arguments).attributes }
        #expect([changed.uid, changed.gid] == [30, 50])

        let handle = try test.request { try $0.opendir(.root, nodeID: .root, OpenIn()) }.handle
        var read = ReadIn()
        (read.handle, read.size) = (handle, 4096)
        let bytes = try reply { buffer in
            try test.request { try $0.readdirplus(.root, nodeID: .root, read, into: &buffer) }
        }
        var owners: [[UInt32]] = []
        var offset = 0
        while offset < bytes.count {
            let (entry, record) = bytes.withUnsafeBytes {
                (
                    $0.loadUnaligned(fromByteOffset: offset, as: EntryOut.self),
                    $0.loadUnaligned(fromByteOffset: offset + MemoryLayout<EntryOut>.size, as: Dirent.self)
                )
            }
            if entry.nodeID != 0 { owners.append(owner(entry)) }
            let length = Int(record.nameLength)
            offset +=
                MemoryLayout<EntryOut>.size + FuseDirent.byteCount(nameByteCount: length)
        }
        #expect(owners == [[30, 50], [30, 50]])
    }

    @Test func ownersAreGivenAwayToTheHostsUsers() throws {
        let test = try share()
        test.write("f")
        let node = try test.node("f")
        func chown(_ uid: UInt32?, _ gid: UInt32?) throws -> [UInt32] {
            var arguments = SetAttrIn()
            if let uid { (arguments.valid, arguments.uid) = (SetAttrValid.uid, uid) }
            if let gid { (arguments.valid, arguments.gid) = (arguments.valid | SetAttrValid.gid, gid) }
            let attributes = try test.request { try $0.setattr(.root, nodeID: node, arguments).attributes }
            return [attributes.uid, attributes.gid]
        }
        #expect(try chown(1, 2) == [1, 2] && owner(test, "f") == [5001, 7002])
        #expect(try chown(3, nil) == [3, 2] && owner(test, "f") == [5003, 7002])
        #expect(try chown(nil, 4) == [3, 4] && owner(test, "f") == [5003, 7004])
        #expect(failure { try chown(20, nil) } == .EPERM)
        #expect(failure { try chown(nil, 40) } == .EPERM)
        #expect(failure { try chown(1, 40) } == .EPERM)
        #expect(failure { try chown(.max, nil) } == .EINVAL)
        #expect(owner(test, "f") == [5003, 7004])
    }

    @Test func forbiddenIDsMakeNothing() throws {
        let test = try share()
        for caller in [Caller.user(20, 1), .user(1, 40), .user(.max)] {
            #expect(failure { try test.create("x", O_RDWR, as: caller) } == .EPERM)
            #expect(failure { try test.mkdir("x", as: caller) } == .EPERM)
            #expect(failure { try test.mknod("x", S_IFREG | 0o600, as: caller) } == .EPERM)
            #expect(failure { try test.symlink("x", to: "y", as: caller) } == .EPERM)
            #expect(test.error { try $0.access(caller, nodeID: .root, mask: 4) } == .EPERM)
        }
        var member = Caller.user(1)
        member.supplementaryGroup = 40
        #expect(failure { try test.mkdir("x", as: member) } == .EPERM)
        #expect(!test.exists("x"))
        // What makes nothing does not ask who it is.
        _ = try test.request { try $0.getattr(.user(20), nodeID: .root, handle: nil) }
    }

    @Test func supplementaryGroupsAndAccessAreTheHosts() throws {
        let test = try share()
        Glibc.mkdir(test.host("d"), 0o770)
        chown(test.host("d"), 0, 7009)
        chmod(test.host("d"), 0o770)
        let directory = try test.node("d")
        #expect(failure { try test.mkdir("x", as: .user(1), in: directory) } == .EACCES)
        #expect(test.error { try $0.access(.user(1), nodeID: directory, mask: 4) } == .EACCES)
        var member = Caller.user(1)
        member.supplementaryGroup = 9
        #expect(owner(try test.mkdir("x", as: member, in: directory)) == [1, 1])
        #expect(test.error { try $0.access(member, nodeID: directory, mask: 4) } == nil)
        member.supplementaryGroup = 7009  // a number that no rule names
        #expect(failure { try test.mkdir("y", as: member, in: directory) } == nil)
        member.supplementaryGroup = 8
        #expect(failure { try test.mkdir("z", as: member, in: directory) } == .EACCES)
    }

    // MARK: Access control lists

    private func list(users: [UInt32], groups: [UInt32]) -> [UInt8] {
        func word(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        func entry(_ tag: UInt8, _ id: UInt32) -> [UInt8] { [tag, 0, 6, 0] + word(id) }
        return word(2) + entry(1, .max) + users.flatMap { entry(2, $0) } + entry(4, .max)
            + groups.flatMap { entry(8, $0) } + entry(0x10, .max) + entry(0x20, .max)
    }

    private func set(_ test: TestShare, _ node: NodeID, _ value: [UInt8]) throws {
        try test.request { fs in
            try withText("system.posix_acl_access") { name in
                try value.withUnsafeBytes {
                    try fs.setxattr(.root, nodeID: node, name: name, value: $0, SetXattrIn())
                }
            }
        }
    }

    @Test func listsNameTheGuestsUsers() throws {
        let test = try share {
            $0.posixACL = .auto; $0.xattr = true
        }
        test.write("f")
        let node = try test.node("f")
        try set(test, node, list(users: [1, 77], groups: [2]))
        var host = [UInt8](repeating: 0, count: 200)
        var count = getxattr(test.host("f"), "system.posix_acl_access", &host, host.count)
        // The kernel keeps named users in the order of the list.
        #expect(Array(host[..<max(0, count)]) == list(users: [5001, 77], groups: [7002]))
        func seen() throws -> [UInt8] {
            try reply { buffer in
                try test.request { fs in
                    try withText("system.posix_acl_access") {
                        _ = try fs.getxattr(
                            .root, nodeID: node, name: $0, size: 200, sizeOnly: false, into: &buffer)
                    }
                }
            }
        }
        #expect(try seen() == list(users: [1, 77], groups: [2]))
        let foreign = list(users: [6000], groups: [8004, 8005])
        #expect(setxattr(test.host("f"), "system.posix_acl_access", foreign, foreign.count, 0) == 0)
        #expect(try seen() == list(users: [30], groups: [50, 50]))

        #expect(failure { try set(test, node, list(users: [20], groups: [])) } == .EPERM)
        #expect(failure { try set(test, node, list(users: [], groups: [40])) } == .EPERM)
        // Nonsense is the host's to refuse.
        for nonsense in [[], [2], [3, 0, 0, 0], list(users: [], groups: []).dropLast()] as [[UInt8]]
        where !nonsense.isEmpty {
            #expect(failure { try set(test, node, nonsense) } != nil)
        }
        count = getxattr(test.host("f"), "system.posix_acl_access", &host, host.count)
        #expect(Array(host[..<max(0, count)]) == foreign)
    }
}
