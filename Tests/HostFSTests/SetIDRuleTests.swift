// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

/// Set-group-ID without group execution is not a program's: only what is a program's goes when a file is written or cut.
@Suite(.enabled(if: isRoot, "dropping a capability needs to have it")) struct SetIDRuleTests {
    enum Way: CaseIterable {
        case write, truncate, truncateOpen, openTruncating, allocate, copy
    }

    /// A file of a group that the daemon is not in, which the guest knows and has open.
    private func makeFile(_ test: TestShare, mode: mode_t) throws -> (node: NodeID, handle: UInt64) {
        test.write("file", "hello")
        chown(test.host("file"), 4001, 4242)
        chmod(test.host("file"), mode)
        return try test.opened("file", O_RDWR)
    }

    private func change(_ test: TestShare, _ file: (node: NodeID, handle: UInt64), _ way: Way) throws {
        switch way {
        case .write: _ = try test.write(file.node, file.handle, [1], writeFlags: WriteIn.killSuidGid)
        case .truncate, .truncateOpen:
            var arguments = SetAttrIn()
            arguments.valid = SetAttrValid.size | SetAttrValid.killSuidGid
            arguments.size = 2
            if way == .truncateOpen {
                arguments.valid |= SetAttrValid.handle
                arguments.handle = file.handle
            }
            _ = try test.request { try $0.setattr(.user(4001), nodeID: file.node, arguments) }
        case .openTruncating: _ = try test.openNode(file.node, O_WRONLY | O_TRUNC, kill: true)
        case .allocate:
            var arguments = FallocateIn()
            arguments.handle = file.handle
            arguments.length = 100
            try test.request { try $0.fallocate(.user(4001), nodeID: file.node, arguments) }
        case .copy:
            var arguments = CopyFileRangeIn()
            arguments.handleIn = file.handle
            arguments.nodeIDOut = file.node.rawValue
            arguments.handleOut = file.handle
            arguments.offsetOut = 100
            arguments.length = 2
            _ = try test.request { try $0.copyFileRange(.user(4001), nodeID: file.node, arguments) }
        }
    }

    @Test(arguments: Way.allCases, [FileHandlePolicy.prefer, .never])
    func onlyProgramsLoseThem(way: Way, policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        try #require(try test.initialize() & InitFlags.handleKillPrivV2 != 0)
        for (before, after) in [
            (0o2666, 0o2666), (0o6666, 0o2666), (0o2676, 0o676), (0o6755, 0o755), (0o4644, 0o644),
        ] as [(mode_t, mode_t)] {
            let file = try makeFile(test, mode: before)
            try change(test, file, way)
            let seen = test.status("file").st_mode & 0o7777
            #expect(seen == after, "\(String(before, radix: 8)) became \(String(seen, radix: 8))")
            unlink(test.host("file"))
        }
        // The group was for those calls only.
        test.fs.enterDaemon()
        #expect(test.fs.credentials.isDaemon)
    }

    /// What the host has done to a file since counts, not what was seen.
    @Test(arguments: Way.allCases) func aProgramOfNowLosesThem(way: Way) throws {
        let test = try TestShare()
        try #require(try test.initialize() & InitFlags.handleKillPrivV2 != 0)
        let file = try makeFile(test, mode: 0o2666)
        chown(test.host("file"), 4001, 4343)
        chmod(test.host("file"), 0o6775)
        try change(test, file, way)
        #expect(test.status("file").st_mode & 0o7777 == 0o775)
        chmod(test.host("file"), 0o2666)
        try change(test, file, way)
        #expect(test.status("file").st_mode & 0o7777 == 0o2666)
    }

    /// Each reply that shows a file's mode is a look at it; nothing else makes a WRITE dearer.
    @Test func whatTheGuestSeesIsRemembered() throws {
        let test = try TestShare()
        let (node, handle) = try makeFile(test, mode: 0o2755)
        let slot = try #require(test.share.inodes.slots.find(node.rawValue))
        let record = test.share.inodes.record(slot)
        #expect(!record.has(VFS_INODE_MANDATORY_BIT))
        var arguments = SetAttrIn()
        arguments.valid = SetAttrValid.mode
        arguments.mode = 0o2644
        _ = try test.request { try $0.setattr(.root, nodeID: node, arguments) }
        #expect(record.has(VFS_INODE_MANDATORY_BIT))

        let looks: [(TestShare) throws -> Void] = [
            { test in _ = try test.lookup("file") },
            { test in _ = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) } },
            { test in
                _ = try test.request {
                    try $0.statx(.root, nodeID: node, handle: HandleID(rawValue: handle), StatxIn())
                }
            },
        ]
        for look in looks {
            record.clear(VFS_INODE_MANDATORY_BIT)
            try look(test)
            #expect(record.has(VFS_INODE_MANDATORY_BIT))
        }
        Glibc.mkdir(test.host("directory"), 0o755)
        chmod(test.host("directory"), 0o2700)
        let directory = try #require(test.share.inodes.slots.find(try test.node("directory").rawValue))
        #expect(!test.share.inodes.record(directory).has(VFS_INODE_MANDATORY_BIT))
    }
}
