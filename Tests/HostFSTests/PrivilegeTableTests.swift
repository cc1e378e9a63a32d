// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

/// T3 and T16, cell by cell: what a change leaves of a program's set-id bits and capabilities. Who asks does not matter to the
/// daemon, because the guest's kernel says with the request whether its caller may keep the bits; where the request cannot say,
/// they go.
@Suite(.enabled(if: isRoot, "giving a file capabilities needs root")) struct PrivilegeTableTests {
    enum Way: CaseIterable {
        case write, writeBack, truncate, truncateOpen, openTruncating, createTruncating, allocate, copy,
            owner, group

        /// The request has a flag for it.
        var saysWhetherBitsGo: Bool {
            switch self {
            case .write, .writeBack, .truncate, .truncateOpen, .openTruncating, .createTruncating: true
            case .allocate, .copy, .owner, .group: false
            }
        }

        var isGivingAway: Bool { self == .owner || self == .group }
    }

    /// How the guest and the daemon divide the work.
    enum Agreement: CaseIterable {
        case none, killpriv, writeback, both

        var hasKillpriv: Bool { self == .killpriv || self == .both }
    }

    private func share(_ agreement: Agreement, _ configure: (inout ShareOptions) -> Void = { _ in }) throws
        -> TestShare
    {
        let test = try TestShare {
            $0.xattr = true
            $0.killprivV2 = agreement.hasKillpriv
            $0.writeback = agreement == .writeback || agreement == .both
            configure(&$0)
        }
        let agreed = try test.initialize()
        #expect((agreed & InitFlags.handleKillPrivV2 != 0) == agreement.hasKillpriv)
        test.write("f", "0123456789")
        chown(test.host("f"), 4001, 4242)
        return test
    }

    private func change(
        _ test: TestShare, _ node: NodeID, _ handle: UInt64, _ way: Way, as caller: Caller, kill: Bool
    ) throws {
        var attributes = SetAttrIn()
        switch way {
        case .write, .writeBack:
            let flags = (kill ? WriteIn.killSuidGid : 0) | (way == .writeBack ? WriteIn.cache : 0)
            let pages = Pages([1], fill: [1])
            var arguments = WriteIn()
            (arguments.handle, arguments.size, arguments.writeFlags) = (handle, 1, flags)
            _ = try test.request { try $0.write(caller, nodeID: node, arguments, from: pages.data) }
        case .truncate, .truncateOpen:
            attributes.valid = SetAttrValid.size | (kill ? SetAttrValid.killSuidGid : 0)
            attributes.size = 2
            if way == .truncateOpen {
                (attributes.valid, attributes.handle) = (attributes.valid | SetAttrValid.handle, handle)
            }
        case .openTruncating:
            var arguments = OpenIn()
            arguments.flags = UInt32(bitPattern: O_WRONLY | O_TRUNC)
            arguments.openFlags = kill ? OpenIn.killSuidGid : 0
            _ = try test.request { try $0.open(caller, nodeID: node, arguments) }
        case .createTruncating: _ = try test.create("f", O_WRONLY | O_TRUNC, as: caller, kill: kill)
        case .allocate:
            var arguments = FallocateIn()
            (arguments.handle, arguments.length) = (handle, 100)
            try test.request { try $0.fallocate(caller, nodeID: node, arguments) }
        case .copy:
            var arguments = CopyFileRangeIn()
            (arguments.handleIn, arguments.handleOut) = (handle, handle)
            (arguments.nodeIDOut, arguments.offsetOut, arguments.length) = (node.rawValue, 100, 2)
            _ = try test.request { try $0.copyFileRange(caller, nodeID: node, arguments) }
        case .owner: (attributes.valid, attributes.uid) = (SetAttrValid.uid, 4001)
        case .group: (attributes.valid, attributes.gid) = (SetAttrValid.gid, 4242)
        }
        if attributes.valid != 0 {
            _ = try test.request { try $0.setattr(caller, nodeID: node, attributes) }
        }
    }

    /// VFS_CAP_REVISION_2 with CAP_CHOWN permitted and effective.
    private static let capability: [UInt8] = [1, 0, 0, 2, 1] + [UInt8](repeating: 0, count: 15)

    /// A file that is a program with everything, which others may write, after `way`: its set-id bits and whether it has
    /// capabilities.
    private func rights(
        _ test: TestShare, _ node: NodeID, _ handle: UInt64, _ way: Way, as caller: Caller, kill: Bool
    ) throws -> (bits: mode_t, capable: Bool) {
        test.fs.enterDaemon()
        chmod(test.host("f"), 0o6777)
        try #require(test.setHostAttribute("f", "security.capability", Self.capability))
        try change(test, node, handle, way, as: caller, kill: kill)
        return (test.status("f").st_mode & 0o6000, test.hostAttribute("f", "security.capability") != nil)
    }

    @Test(arguments: Way.allCases, Agreement.allCases) func everyCell(way: Way, agreement: Agreement) throws {
        let test = try share(agreement)
        let (node, handle) = try test.opened("f", O_RDWR)
        for caller in [Caller.root, .user(4001, 4242), .user(1000), .user(.max)] {
            for kill in way.saysWhetherBitsGo ? [false, true] : [false] {
                // CREATE opens as its caller, and nobody is not one.
                if way == .createTruncating, caller.uid == .max { continue }
                let left = try rights(test, node, handle, way, as: caller, kill: kill)
                let said = way.saysWhetherBitsGo ? kill : agreement.hasKillpriv
                // A file that its caller opens by CREATE is opened with that caller's rights.
                let loses = way.isGivingAway || said || way == .createTruncating && caller.uid != 0
                #expect(left.bits == (loses ? 0 : 0o6000), "\(way) \(agreement) \(caller.uid) \(kill)")
                #expect(!left.capable, "\(way) \(agreement) \(caller.uid) \(kill)")
            }
        }
        test.fs.enterDaemon()
        #expect(test.fs.credentials.isDaemon)
    }

    /// The same where the guest opens nothing, and where ids are translated: the guest's root is no root of the host's.
    @Test(arguments: [Way.write, .writeBack, .truncate, .allocate, .copy, .owner, .group])
    func otherShares(way: Way) throws {
        let exclusive = try share(.both) { ($0.exclusive, $0.cache) = (true, .always) }
        let node = try exclusive.node("f")
        let left = try rights(exclusive, node, 0, way, as: .root, kill: way.saysWhetherBitsGo)
        #expect(left.bits == 0 && !left.capable)

        let translated = try share(.killpriv) {
            $0.users = try! IdMap(parsing: Array("map:0:5000:1\nmap:4001:4001:1".utf8))
        }
        let file = try translated.opened("f", O_RDWR)
        let rest = try rights(
            translated, file.node, file.handle, way, as: .root, kill: way.saysWhetherBitsGo)
        #expect(rest.bits == 0 && !rest.capable)
    }
}
