// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Testing

@testable import HostFS

/// Which requests tell a guest of sizes, or are made by a guest that knows them.
@Suite struct ToldRequestsTests {
    private static let size: UInt64 = 1 << 20

    private func share(always: Bool = false) throws -> TestShare {
        let test = try TestShare(window: StrictVMM(), mappable: SameFiles()) { $0.dax = DAXOptions() }
        test.write("f")
        truncate(test.host("f"), Int(Self.size))
        _ = try test.initialize(always ? .max & ~InitFlags.hasInodeDAX : .max)
        return test
    }

    private func told(_ test: TestShare, _ name: String = "f") throws -> UInt64? {
        let path = test.host(name)
        let file = OwnedDescriptor(adopting: try systemCall { open(path, O_PATH | O_CLOEXEC) })
        return try #require(test.share.window).told.size(of: FileKey(try FileStatus(of: file.rawValue)))
    }

    @Test(arguments: [false, true])
    func repliesWithAttributes(_ always: Bool) throws {
        let test = try share(always: always)
        #expect(try told(test) == nil)
        let node = try test.node("f")
        #expect(try told(test) == Self.size)
        truncate(test.host("f"), Int(Self.size) + 1)
        _ = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
        #expect(try told(test) == Self.size + 1)
        truncate(test.host("f"), Int(Self.size) + 2)
        _ = try test.request { try $0.statx(.root, nodeID: node, handle: nil, StatxIn()) }
        #expect(try told(test) == Self.size + 2)
        // What it has once been told it may believe for ever.
        truncate(test.host("f"), 5)
        _ = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
        #expect(try told(test) == Self.size + 2)
        // Small files are only mapped by guests that map all.
        test.write("small", "12345")
        _ = try test.create("new", O_RDWR)
        try test.lookup("small")
        #expect(try told(test, "small") == (always ? 5 : nil))
        #expect(try told(test, "new") == (always ? 0 : nil))
        test.request { $0.forget(node, count: 1) }
        test.request { _ in }
        #expect(try told(test) == nil)
    }

    @Test func whatMakesFilesLarger() throws {
        let test = try share()
        test.write("g", "12345")
        let (node, source) = (try test.node("f"), try test.node("g"))
        let handle = try test.openNode(node, O_RDWR).handle
        let from = try test.openNode(source, O_RDONLY).handle
        #expect(try test.write(node, handle, at: Self.size - 1, [1, 2, 3]) == 3)
        #expect(try told(test) == Self.size + 2)
        var space = FallocateIn()
        (space.handle, space.offset, space.length) = (handle, Self.size, 100)
        try test.request { try $0.fallocate(.root, nodeID: node, space) }
        #expect(try told(test) == Self.size + 100)
        (space.length, space.mode) = (5000, UInt32(FALLOC_FL_KEEP_SIZE))
        try test.request { try $0.fallocate(.root, nodeID: node, space) }
        #expect(try told(test) == Self.size + 100)
        var range = CopyFileRangeIn()
        (range.handleIn, range.nodeIDOut, range.handleOut) = (from, node.rawValue, handle)
        (range.offsetOut, range.length) = (Self.size + 100, 5)
        #expect(try test.request { try $0.copyFileRange(.root, nodeID: source, range) } == 5)
        #expect(try told(test) == Self.size + 105)
    }

    @Test func whatTheGuestKnowsByItself() throws {
        let test = try share()
        let node = try test.node("f")
        let handle = try test.openNode(node, O_RDWR).handle
        truncate(test.host("f"), 10)
        // A part of a larger write, and a page that is written back, say nothing of the end.
        let large = [UInt8](repeating: 1, count: 65537)
        #expect(try test.write(node, handle, large) == 65537)
        #expect(try test.write(node, handle, at: 65537, [1], writeFlags: WriteIn.cache) == 1)
        #expect(try told(test) == Self.size)
        #expect(try test.write(node, handle, at: 65538, [1]) == 1)
        #expect(try told(test) == 65539)
        var change = SetAttrIn()
        (change.valid, change.size) = (SetAttrValid.size, 7)
        _ = try test.request { try $0.setattr(.root, nodeID: node, change) }
        #expect(try told(test) == 7)
        _ = try test.openNode(node, O_RDWR | O_TRUNC)
        #expect(try told(test) == 0)
    }
}
