// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

/// What the guest calls its attributes, and what they are called on the disk.
@Suite struct MappedNamesTests {
    private func share(_ map: String, _ configure: (inout ShareOptions) -> Void = { _ in }) throws
        -> TestShare
    {
        let test = try TestShare {
            $0.xattr = true
            $0.xattrMap = try! XattrMap(parsing: Array(map.utf8))
            configure(&$0)
        }
        test.write("f")
        return test
    }

    @Test func attributesHaveTheHostsNamesOnDisk() throws {
        let test = try share(":map::user.virtiofs.:")
        let node = try test.node("f")
        try test.setAttribute(node, "user.a", [1, 2])
        try test.setAttribute(node, "system.x", [3])  // what no file of the host could have
        #expect(test.hostAttribute("f", "user.virtiofs.user.a") == [1, 2])
        #expect(test.hostAttribute("f", "user.virtiofs.system.x") == [3])
        #expect(test.hostAttribute("f", "user.a") == nil)
        #expect(try test.attribute(node, "user.a") == [1, 2])
        #expect(failure { try test.attribute(node, "user.virtiofs.user.a") } == .ENODATA)

        test.setHostAttribute("f", "user.foreign", [9])
        let list = try test.attributeNames(node)
        #expect(list.names.sorted() == ["system.x", "user.a"] && list.size == 9 + 7)
        #expect(failure { try test.attributeNames(node, size: 15) } == .ERANGE)
        #expect(try test.attributeNames(node, size: 16).names.count == 2)

        try test.removeAttribute(node, "user.a")
        #expect(test.hostAttribute("f", "user.virtiofs.user.a") == nil)
        #expect(failure { try test.removeAttribute(node, "user.a") } == .ENODATA)
        #expect(try test.attributeNames(node).size == 9)
    }

    @Test func whatTheMapForbids() throws {
        let test = try share(
            ":bad:all:user.bad:user.bad: :unsupported:all:user.none:user.none: :ok:all:::")
        let node = try test.node("f")
        for name in ["user.bad.x", "user.none.x", "user.ok"] { test.setHostAttribute("f", name, [1]) }
        #expect(failure { try test.attribute(node, "user.bad.x") } == .ENODATA)
        #expect(failure { try test.setAttribute(node, "user.bad.x", [2]) } == .EPERM)
        #expect(failure { try test.removeAttribute(node, "user.bad.x") } == .EPERM)
        #expect(failure { try test.attribute(node, "user.none.x") } == .EOPNOTSUPP)
        #expect(failure { try test.setAttribute(node, "user.none.x", [2]) } == .EOPNOTSUPP)
        #expect(failure { try test.removeAttribute(node, "user.none.x") } == .EOPNOTSUPP)
        let list = try test.attributeNames(node)
        #expect(list.names == ["user.ok"] && list.size == 8)
        #expect(test.hostAttribute("f", "user.bad.x") == [1] && test.hostAttribute("f", "user.none.x") == [1])
    }

    /// XATTR_NAME_MAX is the host's: too long to be set, and so not there.
    @Test func namesThatBecomeTooLong() throws {
        let test = try share(":map::user.virtiofs.:")
        let node = try test.node("f")
        let longest = "user." + String(repeating: "n", count: 255 - 14 - 5)
        try test.setAttribute(node, longest, [1])
        #expect(try test.attribute(node, longest) == [1])
        #expect(try test.attributeNames(node).names == [longest])
        #expect(failure { try test.setAttribute(node, longest + "n", [1]) } == .ERANGE)
        #expect(failure { try test.attribute(node, longest + "n") } == .ENODATA)
        #expect(failure { try test.removeAttribute(node, longest + "n") } == .ENODATA)
    }

    /// A name that is nothing but the prefix would be an empty one.
    @Test func aBarePrefixIsHidden() throws {
        let test = try share(":map::user.v:")
        test.setHostAttribute("f", "user.v", [1])
        test.setHostAttribute("f", "user.vx", [1])
        #expect(try test.attributeNames(try test.node("f")).names == ["x"])
    }

    /// Trusted is what the guest calls so.
    @Test func trustedNamesAreForTheGuestsRoot() throws {
        let test = try share(":map:trusted.:user.virtiofs.:")
        let node = try test.node("f")
        try test.setAttribute(node, "trusted.a", [1])
        #expect(test.hostAttribute("f", "user.virtiofs.trusted.a") == [1])
        #expect(try test.attributeNames(node).names == ["trusted.a"])
        #expect(try test.attributeNames(node, as: .user(1000)).names == [])
        #expect(failure { try test.setAttribute(node, "user.virtiofs.trusted.a", [2]) } == .EPERM)
    }

    @Test func listsOfAccessAreWhatTheGuestCallsSo() throws {
        let acl = "system.posix_acl_access"
        let test = try share(":map::user.virtiofs.:") { $0.posixACL = .auto }
        _ = try test.initialize(.max & ~InitFlags.posixACL)
        let node = try test.node("f")
        #expect(failure { try test.setAttribute(node, acl, [1]) } == .EOPNOTSUPP)
        test.setHostAttribute("f", "user.virtiofs." + acl, [1])
        #expect(try test.attributeNames(node).names == [])
        try #require(try test.initialize() & InitFlags.posixACL != 0)
        let again = try test.node("f")
        #expect(try test.attributeNames(again).names == [acl])
        #expect(try test.attribute(again, acl) == [1])
        // Nor are the host's to be reached by another name.
        let other = try share(":prefix:all:user.:system.: :ok:all:::")
        #expect(
            failure { try other.setAttribute(try other.node("f"), "user.posix_acl_access", [1]) }
                == .EOPNOTSUPP)
    }

    @Test(.enabled(if: isRoot, "labels need root")) func labelsHaveTheHostsNames() throws {
        func label<R>(_ name: String, _ body: (Caller) throws -> R) rethrows -> R {
            try withText(name) { name in
                try Array("x:y:z\0".utf8).withUnsafeBytes { value in
                    var caller = Caller.root
                    caller.label = SecurityLabel(name: name, value: value)
                    return try body(caller)
                }
            }
        }
        for name in ["security.selinux", "security.SMACK64"] {
            let test = try share(":map:security.:trusted.virtiofs.:")
            try label(name) { caller in
                _ = try test.create("n", O_RDWR, as: caller)
                _ = try test.mkdir("d", as: caller)
                _ = try test.symlink("l", to: "f", as: caller)
            }
            for object in ["n", "d", "l"] {
                #expect(test.hostAttribute(object, "trusted.virtiofs." + name) == Array("x:y:z\0".utf8))
                #expect(test.hostAttribute(object, name) == nil)
                #expect(try test.attribute(try test.node(object), name) == Array("x:y:z\0".utf8))
            }
            for (rule, error) in [("bad", Errno.EPERM), ("unsupported", .EOPNOTSUPP)] {
                let test = try share(":\(rule):all:security.:security.: :ok:all:::")
                #expect(failure { try label(name) { try test.create("n", O_RDWR, as: $0) } } == error)
                #expect(failure { try label(name) { try test.mkdir("d", as: $0) } } == error)
                #expect(!test.exists("n") && !test.exists("d"))
            }
            // What the host then refuses is not made.
            let refused = try share(":map::user.virtiofs.:")
            #expect(failure { try label(name) { try refused.symlink("l", to: "f", as: $0) } } == .EPERM)
            #expect(!refused.exists("l"))
        }
    }
}
