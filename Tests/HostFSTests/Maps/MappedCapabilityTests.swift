// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Synchronization
import Testing

@testable import HostFS

/// T3 where the map gives security.capability another name: the host's kernel knows nothing of it, so we take it away.
@Suite struct MappedCapabilityTests {
    private static let name = "user.virtiofs.security.capability"

    private func share(
        _ map: String = ":map::user.virtiofs.:", _ configure: (inout ShareOptions) -> Void = { _ in }
    ) throws -> TestShare {
        let test = try TestShare {
            $0.xattr = true
            $0.xattrMap = try! XattrMap(parsing: Array(map.utf8))
            configure(&$0)
        }
        test.write("f", "0123456789", mode: 0o755)
        return test
    }

    enum Way: CaseIterable {
        case write, writeBack, truncate, truncateOpen, owner, group, openTruncating, createTruncating,
            allocate, copy
    }

    private func change(_ test: TestShare, _ node: NodeID, _ handle: UInt64, _ way: Way) throws {
        var attributes = SetAttrIn()
        switch way {
        case .write: _ = try test.write(node, handle, [1])
        case .writeBack: _ = try test.write(node, handle, [1], writeFlags: WriteIn.cache)
        case .truncate: (attributes.valid, attributes.size) = (SetAttrValid.size, 2)
        case .truncateOpen:
            attributes.valid = SetAttrValid.size | SetAttrValid.handle
            (attributes.size, attributes.handle) = (2, handle)
        case .owner: (attributes.valid, attributes.uid) = (SetAttrValid.uid, test.status("f").st_uid)
        case .group: (attributes.valid, attributes.gid) = (SetAttrValid.gid, test.status("f").st_gid)
        case .openTruncating: _ = try test.openNode(node, O_WRONLY | O_TRUNC)
        case .createTruncating: _ = try test.create("f", O_WRONLY | O_TRUNC)
        case .allocate:
            var arguments = FallocateIn()
            (arguments.handle, arguments.length) = (handle, 100)
            try test.request { try $0.fallocate(.root, nodeID: node, arguments) }
        case .copy:
            var arguments = CopyFileRangeIn()
            (arguments.handleIn, arguments.handleOut) = (handle, handle)
            (arguments.nodeIDOut, arguments.offsetOut, arguments.length) = (node.rawValue, 100, 2)
            _ = try test.request { try $0.copyFileRange(.root, nodeID: node, arguments) }
        }
        if attributes.valid != 0 {
            _ = try test.request { try $0.setattr(.root, nodeID: node, attributes) }
        }
    }

    @Test(arguments: Way.allCases, [FileHandlePolicy.prefer, .never]) func everyChangeTakesThem(
        way: Way, policy: FileHandlePolicy
    ) throws {
        let test = try share { $0.inodeFileHandles = policy }
        _ = try test.initialize()
        let (node, handle) = try test.opened("f", O_RDWR)
        for _ in 0..<2 {
            try test.setAttribute(node, "security.capability", [1])
            try #require(test.hostAttribute("f", Self.name) == [1])
            try change(test, node, handle, way)
            #expect(test.hostAttribute("f", Self.name) == nil)
            // A program of the host sets it again.
            #expect(test.setHostAttribute("f", Self.name, [2]))
            try change(test, node, handle, way)
            #expect(test.hostAttribute("f", Self.name) == nil)
        }
        // Where there is none it goes on as well.
        try change(test, node, handle, way)
    }

    @Test func othersStay() throws {
        let test = try share()
        let (node, handle) = try test.opened("f", O_RDWR)
        try test.setAttribute(node, "security.capability", [1])
        try test.setAttribute(node, "user.a", [1])
        _ = try test.read(node, handle, [4])
        var attributes = SetAttrIn()
        (attributes.valid, attributes.mode) = (SetAttrValid.mode | SetAttrValid.mtimeNow, 0o700)
        _ = try test.request { try $0.setattr(.root, nodeID: node, attributes) }
        _ = try test.openNode(node, O_RDWR)
        _ = try test.create("f", O_RDWR)
        try test.rename("f", "g")
        #expect(test.hostAttribute("g", Self.name) == [1])
        _ = try test.write(node, handle, [1])
        #expect(test.hostAttribute("g", Self.name) == nil)
        #expect(try test.attribute(node, "user.a") == [1])
    }

    /// Who may not open a file does not take its capabilities either.
    @Test(.enabled(if: isRoot, "becoming other users needs root")) func aRefusedOpenTakesNothing() throws {
        let test = try share()
        _ = try test.initialize()
        let node = try test.node("f")
        try test.setAttribute(node, "security.capability", [1])
        #expect(failure { try test.create("f", O_WRONLY | O_TRUNC, as: .user(1000)) } == .EACCES)
        #expect(test.hostAttribute("f", Self.name) == [1])
        chmod(test.host("f"), 0o777)
        _ = try test.create("f", O_WRONLY | O_TRUNC, as: .user(1000))
        #expect(test.hostAttribute("f", Self.name) == nil)
    }

    /// The last request may have been somebody's who may not touch the file.
    @Test(.enabled(if: isRoot, "becoming other users needs root")) func whoAskedBeforeDoesNotMatter() throws {
        let test = try share()
        _ = try test.initialize()
        chmod(test.path, 0o777)
        let (node, handle) = try test.opened("f", O_RDWR)
        try test.setAttribute(node, "security.capability", [1])
        _ = try test.mkdir("d", as: .user(1000))
        _ = try test.write(node, handle, [1])
        #expect(test.hostAttribute("f", Self.name) == nil)
    }

    /// Without CAP_SYS_ADMIN trusted.* can be neither seen nor removed, and an ordinary user may not remove an attribute of a
    /// file that is not writable: that must not stop what has nothing to do with it. In a thread that loses its capabilities.
    @Test(.enabled(if: isRoot, "giving capabilities up takes having them")) func writingGoesOnWithoutRights()
        throws
    {
        let outcome = Mutex<[String]>([])
        @Sendable func expect(_ condition: Bool, _ what: String) {
            if !condition { outcome.withLock { $0.append(what) } }
        }
        let thread = try HostOS.Thread(name: "unprivileged") {
            guard vfs_setresuid_thread(1000, 1000, 1000) == 0 else { return expect(false, "setuid") }
            do {
                for map in [":map::trusted.virtiofs.:", ":map::user.virtiofs.:"] {
                    let test = try self.share(map) { $0.inodeFileHandles = .never }
                    let file = try test.create("new", O_RDWR, mode: 0o444, as: .user(1000, 0))
                    let node = NodeID(rawValue: file.entry.nodeID)
                    expect(try test.write(node, file.open.handle, [1]) == 1, "write " + map)
                    // There, and not to be removed.
                    guard map.contains("user.") else { continue }
                    chmod(test.host("new"), 0o644)
                    expect(test.setHostAttribute("new", Self.name, [1]), "set")
                    chmod(test.host("new"), 0o444)
                    expect(failure { try test.write(node, file.open.handle, [1]) } == .EACCES, "kept")
                    chmod(test.host("new"), 0o644)
                    expect(try test.write(node, file.open.handle, [1]) == 1, "write again")
                    expect(test.hostAttribute("new", Self.name) == nil, "dropped")
                }
            } catch { expect(false, "\(error)") }
        }
        thread.join()
        #expect(outcome.withLock { $0 } == [])
    }

    /// Nothing is called differently, or nothing that a guest could set: no call more.
    @Test(arguments: [":ok:all:::", ":bad:all:security.:security.: :ok:all:::", ":prefix:all::: :ok:all:::"])
    func mapsThatDoNotConcernThem(map: String) throws {
        #expect(try share(map).fs.mappedCapability == nil)
    }
}
