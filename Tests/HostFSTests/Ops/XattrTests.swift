// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct XattrTests {
    private func set(
        _ test: TestShare, _ node: NodeID, _ name: String, _ value: [UInt8], flags: UInt32 = 0,
        killSgid: Bool = false
    ) throws {
        var arguments = SetXattrIn()
        arguments.size = UInt32(value.count)
        arguments.flags = flags
        arguments.setxattrFlags = killSgid ? SetXattrIn.aclKillSgid : 0
        try test.request { fs in
            try withText(name) { name in
                try value.withUnsafeBytes { bytes in
                    try fs.setxattr(.root, nodeID: node, name: name, value: bytes, arguments)
                }
            }
        }
    }

    private func get(
        _ test: TestShare, _ node: NodeID, _ name: String, size: Int = 65536, capacity: Int = 65536
    ) throws -> [UInt8] {
        try reply(capacity: capacity) { buffer in
            try test.request { fs in
                try withText(name) { name in
                    let count = try fs.getxattr(
                        .root, nodeID: node, name: name, size: size, sizeOnly: false, into: &buffer)
                    #expect(count == buffer.count)
                }
            }
        }
    }

    private func sizeOf(_ test: TestShare, _ node: NodeID, _ name: String) throws -> Int {
        var size = -1
        let bytes = try reply(capacity: 8) { buffer in
            try test.request { fs in
                try withText(name) { name in
                    size = try fs.getxattr(
                        .root, nodeID: node, name: name, size: 0, sizeOnly: true, into: &buffer)
                }
            }
        }
        #expect(bytes == [])
        return size
    }

    /// The names, and what a size query says.
    private func list(
        _ test: TestShare, _ node: NodeID, size: Int = 65536, as caller: Caller = .root
    ) throws -> (names: [String], size: Int) {
        let bytes = try reply { buffer in
            try test.request { fs in
                let count = try fs.listxattr(
                    caller, nodeID: node, size: size, sizeOnly: false, into: &buffer)
                #expect(count == buffer.count)
            }
        }
        var asked = -1
        _ = try reply(capacity: 8) { buffer in
            try test.request { fs in
                asked = try fs.listxattr(caller, nodeID: node, size: 0, sizeOnly: true, into: &buffer)
            }
        }
        return (bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }, asked)
    }

    private func remove(_ test: TestShare, _ node: NodeID, _ name: String) throws {
        try test.request { fs in
            try withText(name) { name in try fs.removexattr(.root, nodeID: node, name: name) }
        }
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func filesAndDirectoriesHaveThem(policy: FileHandlePolicy) throws {
        let test = try TestShare {
            $0.xattr = true
            $0.inodeFileHandles = policy
        }
        test.write("f")
        Glibc.mkdir(test.host("d"), 0o755)
        for name in ["f", "d"] {
            let node = try test.node(name)
            try set(test, node, "user.a", [1, 2, 3])
            try set(test, node, "user.empty", [])
            #expect(try get(test, node, "user.a") == [1, 2, 3])
            #expect(try get(test, node, "user.a", size: 3) == [1, 2, 3])
            #expect(try get(test, node, "user.empty") == [])
            #expect(try sizeOf(test, node, "user.a") == 3)
            #expect(failure { try get(test, node, "user.a", size: 2) } == .ERANGE)
            #expect(failure { try get(test, node, "user.a", size: 3, capacity: 2) } == .ERANGE)
            #expect(failure { try get(test, node, "user.a", size: 3, capacity: 0) } == .ERANGE)
            #expect(failure { try get(test, node, "user.none") } == .ENODATA)
            #expect(try list(test, node).names.sorted() == ["user.a", "user.empty"])
            #expect(try list(test, node).size == 18)  // 7 + 11, with their NULs
            #expect(failure { try list(test, node, size: 17) } == .ERANGE)
            #expect(try list(test, node, size: 18).names.count == 2)
            try remove(test, node, "user.a")
            #expect(failure { try remove(test, node, "user.a") } == .ENODATA)
        }
    }

    @Test func createAndReplaceAreTheHosts() throws {
        let test = try TestShare { $0.xattr = true }
        test.write("f")
        let node = try test.node("f")
        #expect(failure { try set(test, node, "user.a", [1], flags: 2) } == .ENODATA)  // XATTR_REPLACE
        try set(test, node, "user.a", [1], flags: 1)  // XATTR_CREATE
        #expect(failure { try set(test, node, "user.a", [2], flags: 1) } == .EEXIST)
        #expect(failure { try set(test, node, "user.a", [2], flags: 4) } == .EINVAL)
        #expect(try get(test, node, "user.a") == [1])
        let long = "user." + String(repeating: "n", count: 251)
        #expect(failure { try set(test, node, long, [1]) } == .ERANGE)
        #expect(failure { try set(test, node, "user.big", [UInt8](repeating: 0, count: 65537)) } == .E2BIG)
        #expect(failure { try set(test, NodeID(rawValue: 77), "user.a", [1]) } == .ESTALE)
    }

    @Test(.enabled(if: isRoot, "trusted.* needs root"))
    func linksAndSpecialFilesAreNotOpened() throws {
        let test = try TestShare { $0.xattr = true }
        test.write("target")
        Glibc.symlink("target", test.host("l"))
        mkfifo(test.host("p"), 0o600)
        for name in ["l", "p"] {
            let node = try test.node(name)
            #expect(failure { try set(test, node, "user.a", [1]) } == .EPERM)
            try set(test, node, "trusted.a", [1])
            #expect(try get(test, node, "trusted.a") == [1])
        }
        #expect(try list(test, try test.node("target")).names == [])
    }

    /// An ACL that names somebody, as system.posix_acl_* carry it: version 2, then {tag, permissions, id} each.
    private var namedACL: [UInt8] {
        func entry(_ tag: UInt8, _ permissions: UInt8, _ id: UInt8 = 0xff) -> [UInt8] {
            [tag, 0, permissions, 0, id, id, id, id]
        }
        return [2, 0, 0, 0] + entry(1, 6) + entry(2, 4, 7) + entry(4, 4) + entry(0x10, 4) + entry(0x20, 4)
    }

    @Test func accessControlListsAreHiddenUnlessAgreedOn() throws {
        let test = try TestShare { $0.xattr = true }
        test.write("f")
        let set = setxattr(test.host("f"), "system.posix_acl_access", namedACL, namedACL.count, 0)
        try #require(set == 0)
        let node = try test.node("f")
        for name in ["system.posix_acl_access", "system.posix_acl_default"] {
            #expect(failure { try get(test, node, name) } == .EOPNOTSUPP)
            #expect(failure { try self.set(test, node, name, namedACL) } == .EOPNOTSUPP)
            #expect(failure { try remove(test, node, name) } == .EOPNOTSUPP)
        }
        try self.set(test, node, "user.a", [1])
        let shown = try list(test, node)
        #expect(shown.names == ["user.a"] && shown.size == 7)
        #expect(try list(test, node, size: 7).names == ["user.a"])  // what is hidden needs no room
    }

    @Test func accessControlListsTravelWhenAgreedOn() throws {
        let test = try TestShare {
            $0.xattr = true
            $0.posixACL = .auto
        }
        try #require(try test.initialize() & InitFlags.posixACL != 0)
        test.write("f", mode: 0o2770)
        let node = try test.node("f")
        try set(test, node, "system.posix_acl_access", namedACL)
        #expect(test.status("f").st_mode & 0o2000 != 0)
        #expect(try get(test, node, "system.posix_acl_access") == namedACL)
        #expect(try list(test, node).names == ["system.posix_acl_access"])
        try set(test, node, "system.posix_acl_access", namedACL, killSgid: true)
        #expect(test.status("f").st_mode & 0o2000 == 0)
        try remove(test, node, "system.posix_acl_access")
        #expect(try list(test, node).names == [])
    }

    @Test(.enabled(if: isRoot, "trusted.* needs root")) func trustedNamesAreForRoot() throws {
        let test = try TestShare { $0.xattr = true }
        test.write("f")
        let node = try test.node("f")
        for name in ["trusted.a", "user.b", "trusted.c"] { try set(test, node, name, [1]) }
        let all = try list(test, node)
        #expect(all.names.sorted() == ["trusted.a", "trusted.c", "user.b"] && all.size == 27)
        // Nobody: what Linux says where it does not want to say who asks.
        for caller in [Caller.user(1000), .user(1000, 0), .user(.max)] {
            let shown = try list(test, node, as: caller)
            #expect(shown.names == ["user.b"] && shown.size == 7)
            #expect(try list(test, node, size: 7, as: caller).names == ["user.b"])
            #expect(failure { try list(test, node, size: 6, as: caller) } == .ERANGE)
        }
        #expect(failure { try list(test, node, size: 26) } == .ERANGE)
        try remove(test, node, "user.b")
        #expect(try list(test, node, as: .user(1000)).size == 0)
    }

    /// More than the part of the stack that is tried first.
    @Test func aLongListIsWhole() throws {
        let test = try TestShare { $0.xattr = true }
        test.write("f")
        let node = try test.node("f")
        let names = (0..<12).map { "user." + String(repeating: "n", count: 100) + String($0) }
        for name in names { try set(test, node, name, []) }
        #expect(try list(test, node).names.sorted() == names.sorted())
        #expect(try list(test, node).size == names.map(\.utf8.count).reduce(0, +) + 12)
    }

    @Test func withoutTheOptionTheGuestStopsAsking() throws {
        let test = try TestShare()
        test.write("f")
        let node = try test.node("f")
        #expect(failure { try set(test, node, "user.a", [1]) } == .ENOSYS)
        #expect(failure { try get(test, node, "user.a") } == .ENOSYS)
        #expect(failure { try list(test, node) } == .ENOSYS)
        #expect(failure { try remove(test, node, "user.a") } == .ENOSYS)
    }
}
