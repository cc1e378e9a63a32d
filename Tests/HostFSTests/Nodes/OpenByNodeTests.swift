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

/// Zero-message open: what a guest does to files that it never asked to open.
@Suite struct OpenByNodeTests {
    private func exclusiveShare(
        on base: String = "/tmp", offer: UInt64 = .max, _ configure: (inout ShareOptions) -> Void = { _ in }
    ) throws -> TestShare {
        let test = try TestShare(on: base) {
            $0.cache = .always
            $0.exclusive = true
            configure(&$0)
        }
        _ = try test.initialize(offer)
        return test
    }

    /// Everything that may be closed gives way.
    private func closeIdle(_ test: TestShare) throws {
        while let handle = test.share.openNodes.removeAny() { test.request { $0.closeOpen(handle) } }
        for number in 0..<40 {
            test.write("other\(number)")
            let other = try test.node("other\(number)")
            _ = try test.request { fs in try fs.getattr(.root, nodeID: other, handle: nil) }
        }
    }

    private func list(_ test: TestShare, _ node: NodeID, plus: Bool = false) throws -> Set<String> {
        var names: Set<String> = []
        var arguments = ReadIn()
        while true {
            arguments.size = 512
            let bytes = try reply(capacity: 512) { buffer in
                try test.request { fs in
                    if plus {
                        try fs.readdirplus(.root, nodeID: node, arguments, into: &buffer)
                    } else {
                        try fs.readdir(.root, nodeID: node, arguments, into: &buffer)
                    }
                }
            }
            let entries = try parse(bytes, plus: plus)
            guard let last = entries.last else { return names.subtracting([".", ".."]) }
            names.formUnion(entries.map { String(decoding: $0.name, as: UTF8.self) })
            arguments.offset = last.dirent.offset
        }
    }

    @Test func theGuestNeedNotAsk() throws {
        let test = try exclusiveShare()
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(failure { try test.openNode(node, O_RDWR | O_TRUNC) } == .ENOSYS)
        #expect(test.error { try $0.opendir(.root, nodeID: .root, OpenIn()) } == .ENOSYS)
        #expect(test.contents("file") == Array("hello".utf8))
        // What it may not open is refused as ever.
        #expect(failure { try test.openNode(.root, O_RDONLY) } == .EISDIR)
        #expect(test.error { try $0.opendir(.root, nodeID: node, OpenIn()) } == .ENOTDIR)
    }

    /// A guest that does not know one of them asks, and is answered.
    @Test func eachIsOnlyForWhoKnowsIt() throws {
        let files = try exclusiveShare(offer: .max & ~InitFlags.noOpendirSupport)
        files.write("file", "hello")
        let node = try files.node("file")
        #expect(failure { try files.openNode(node, O_RDONLY) } == .ENOSYS)
        #expect(try files.request { try $0.opendir(.root, nodeID: .root, OpenIn()).handle } != 0)
        #expect(failure { try list(files, .root) } == .EBADF)

        let directories = try exclusiveShare(offer: .max & ~InitFlags.noOpenSupport)
        directories.write("file", "hello")
        let (other, handle) = try directories.opened("file", O_RDONLY)
        #expect(handle != 0)
        #expect(failure { try directories.read(other, 0, [5]) } == .EBADF)
        #expect(try list(directories, .root) == ["file"])
        #expect(directories.fs.isNegotiated(InitFlags.atomicTruncate))
    }

    @Test func noHandleIsNoneWithoutTheOption() throws {
        let test = try TestShare { $0.cache = .always }
        _ = try test.initialize()
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(failure { try test.read(node, 0, [5]) } == .EBADF)
        #expect(failure { try test.write(node, 0, [5]) } == .EBADF)
        #expect(failure { try list(test, .root) } == .EBADF)
        #expect(test.error { try $0.getattr(.root, nodeID: node, handle: HandleID(rawValue: 0)) } == .EBADF)
        #expect(failure { try test.release(node, 0) } == .EBADF)
    }

    @Test func filesAreReadAndWritten() throws {
        let test = try exclusiveShare()
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(try test.read(node, 0, [9]) == Array("hello".utf8))
        let reading = try #require(test.share.openNodes.find(node))
        #expect(try test.hostFlags(node, reading) & O_ACCMODE == O_RDONLY)
        // Opened for writing when that is needed, and good for both then.
        #expect(try test.write(node, 0, at: 1, Array("ipp".utf8)) == 3)
        let writing = try #require(test.share.openNodes.find(node))
        #expect(writing != reading)
        #expect(try test.hostFlags(node, writing) & O_ACCMODE == O_RDWR)
        #expect(try test.read(node, 0, at: 1, [9]) == Array("ippo".utf8))
        #expect(test.share.openNodes.find(node) == writing)
        #expect(test.share.guestDescriptors == 1)
        #expect(try test.write(node, 0, [0x21], openFlags: O_WRONLY | O_APPEND) == 1)
        #expect(test.contents("file") == Array("hippo!".utf8))
    }

    @Test func everyOperationTakesIt() throws {
        let test = try exclusiveShare()
        test.write("file", "0123456789")
        test.write("copy")
        let (node, copy) = (try test.node("file"), try test.node("copy"))
        try test.request { try $0.fsync(.root, nodeID: node, FsyncIn()) }
        try test.request { try $0.fsyncdir(.root, nodeID: .root, FsyncIn()) }
        var seek = LseekIn()
        seek.whence = UInt32(bitPattern: SEEK_HOLE)
        #expect(try test.request { try $0.lseek(.root, nodeID: node, seek) } == 10)
        var range = CopyFileRangeIn()
        range.nodeIDOut = copy.rawValue
        range.length = 4
        #expect(try test.request { try $0.copyFileRange(.root, nodeID: node, range) } == 4)
        #expect(test.contents("copy") == Array("0123".utf8))
        // Within one file, of which one descriptor is for reading and the other for writing.
        range.nodeIDOut = node.rawValue
        range.offsetOut = 10
        #expect(try test.request { try $0.copyFileRange(.root, nodeID: node, range) } == 4)
        #expect(test.contents("file") == Array("01234567890123".utf8))
        var space = FallocateIn()
        space.length = 100
        try test.request { try $0.fallocate(.root, nodeID: copy, space) }
        #expect(test.status("copy").st_size == 100)
        var change = SetAttrIn()
        change.valid = SetAttrValid.size | SetAttrValid.handle
        change.size = 3
        #expect(try test.request { try $0.setattr(.root, nodeID: node, change).attributes.size } == 3)
        let none = HandleID(rawValue: 0)
        #expect(try test.request { try $0.getattr(.root, nodeID: node, handle: none).attributes.size } == 3)
        #expect(
            try test.request { try $0.statx(.root, nodeID: node, handle: none, StatxIn()).stat.size } == 3)
        // These two the guest shall not ask again.
        #expect(test.error { try $0.flush(.root, nodeID: node, FlushIn()) } == .ENOSYS)
        try test.release(node, 0)
    }

    @Test func directoriesAreListed() throws {
        let test = try exclusiveShare()
        Glibc.mkdir(test.host("d"), 0o755)
        for number in 0..<50 { test.write("d/file\(number)") }
        let node = try test.node("d")
        let all = Set((0..<50).map { "file\($0)" })
        #expect(try list(test, node) == all)
        #expect(try list(test, node, plus: true) == all)
        test.write("d/new")
        #expect(try list(test, node) == all.union(["new"]))
        #expect(failure { try test.read(node, 0, [5]) } == .EBADF)
        test.write("file")
        let file = try test.node("file")
        #expect(failure { try list(test, file) } == .EBADF)
    }

    /// Its descriptor serves whoever opens the file next, so it has nothing of this opener.
    @Test func createdFilesServeEverybody() throws {
        let test = try exclusiveShare()
        let out = try test.create("file", O_WRONLY | O_SYNC | O_APPEND, mode: 0o400)
        #expect(out.open.handle == 0)
        #expect(out.open.openFlags == OpenOutFlags.keepCache | OpenOutFlags.noFlush)
        let node = NodeID(rawValue: out.entry.nodeID)
        let handle = try #require(test.share.openNodes.find(node))
        #expect(try test.hostFlags(node, handle) & (O_ACCMODE | O_DSYNC | O_APPEND) == O_RDWR)
        #expect(try test.write(node, 0, [0x61]) == 1)
        #expect(try test.read(node, 0, [5]) == [0x61])
        #expect(test.share.openNodes.find(node) == handle)
    }

    /// A file that is in use when its last name goes has no name to be opened by.
    @Test(arguments: ["/tmp", "/dev/shm"], ["unlink", "rename", "tmpfile", "create"])
    func whatTheGuestHasOpenOutlivesItsName(base: String, way: String) throws {
        let test = try exclusiveShare(on: base) { $0.hotDescriptors = 4 }
        let node: NodeID
        if way == "tmpfile" {
            var arguments = CreateIn()
            arguments.flags = UInt32(bitPattern: O_RDWR | VFS_O_TMPFILE)
            arguments.mode = S_IFREG | 0o600
            let out = try test.request { try $0.tmpfile(.root, parent: .root, arguments) }
            #expect(out.open.handle == 0)
            node = NodeID(rawValue: out.entry.nodeID)
            #expect(try test.write(node, 0, Array("hello".utf8)) == 5)
        } else if way == "create" {
            // The inode lives by the file that CREATE has opened.
            node = NodeID(rawValue: try test.create("file", O_WRONLY).entry.nodeID)
            #expect(try test.write(node, 0, Array("hello".utf8)) == 5)
        } else {
            test.write("file", "hello")
            node = try test.node("file")
        }
        if way == "unlink" || way == "create" {
            try test.request { fs in try withName("file") { try fs.unlink(.root, parent: .root, name: $0) } }
        } else if way == "rename" {
            test.write("other", "other")
            try test.rename("other", "file")
        }
        try closeIdle(test)
        #expect(try test.read(node, 0, [9]) == Array("hello".utf8))
        #expect(try test.write(node, 0, at: 5, [0x21]) == 1)
        try closeIdle(test)
        #expect(try test.read(node, 0, [9]) == Array("hello!".utf8))
        #expect(try test.request { try $0.getattr(.root, nodeID: node, handle: nil).attributes.nlink } == 0)
        // And ends with the guest's last word on it.
        let before = test.share.guestDescriptors
        test.forget(node)
        #expect(test.share.guestDescriptors == before - 2)
        #expect(failure { try test.read(node, 0, [9]) } == .ESTALE)
    }

    @Test func removedDirectoriesStay() throws {
        let test = try exclusiveShare { $0.hotDescriptors = 4 }
        Glibc.mkdir(test.host("d"), 0o755)
        let node = try test.node("d")
        try test.request { fs in try withName("d") { try fs.rmdir(.root, parent: .root, name: $0) } }
        try closeIdle(test)
        #expect(try test.request { try $0.getattr(.root, nodeID: node, handle: nil).attributes.nlink } == 0)
        #expect(failure { try list(test, node) } == .ENOENT)
    }

    @Test func forgettingCloses() throws {
        let test = try exclusiveShare()
        for number in 0..<100 {
            test.write("file\(number)", "x")
            let node = try test.node("file\(number)")
            #expect(try test.read(node, 0, [5]) == [0x78])
            test.forget(node)
        }
        #expect(test.share.guestDescriptors == 0)
        #expect(test.share.handles.slots.usedSlots.count <= 2)
    }

    @Test func aGuestThatLeavesTakesAllWithIt() throws {
        let test = try exclusiveShare()
        test.write("file", "x")
        let node = try test.node("file")
        _ = try test.read(node, 0, [5])
        _ = try list(test, .root)
        #expect(test.share.guestDescriptors == 2)
        _ = try test.initialize()
        #expect(test.share.guestDescriptors == 0)
        #expect(try list(test, .root) == ["file"])
    }

    @Test func onlyFilesAndDirectoriesAreOpened() throws {
        let test = try exclusiveShare()
        Glibc.mkfifo(test.host("fifo"), 0o600)
        Glibc.symlink("file", test.host("link"))
        for name in ["fifo", "link"] {
            let node = try test.node(name)
            #expect(failure { try test.read(node, 0, [5]) } == .EBADF)
            #expect(failure { try test.write(node, 0, [5]) } == .EBADF)
            #expect(failure { try list(test, node) } == .EBADF)
        }
        #expect(failure { try test.read(NodeID(rawValue: 77), 0, [5]) } == .ESTALE)
        #expect(failure { try test.read(NodeID(rawValue: 0), 0, [5]) } == .ESTALE)
    }

    @Test func aReadOnlyShareIsOnlyRead() throws {
        let test = try exclusiveShare { $0.readOnly = true }
        test.write("file", "hello")
        let node = try test.node("file")
        #expect(try test.read(node, 0, [9]) == Array("hello".utf8))
        #expect(failure { try test.write(node, 0, [1]) } == .EROFS)
        #expect(test.error { try $0.fallocate(.root, nodeID: node, FallocateIn()) } == .EROFS)
    }

    @Test(.enabled(if: isRoot, "chattr +a needs root")) func anAppendOnlyFileIsAppendedTo() throws {
        let test = try exclusiveShare()
        test.write("file", "12")
        let file = OwnedDescriptor(adopting: open(test.host("file"), O_RDONLY))
        let flags = try inodeFlags(of: file.rawValue)
        try setInodeFlags(of: file.rawValue, to: flags | UInt32(FS_APPEND_FL))
        defer { try? setInodeFlags(of: file.rawValue, to: flags) }
        let node = try test.node("file")
        #expect(failure { try test.write(node, 0, [0x78]) } == .EPERM)
        #expect(try test.write(node, 0, at: 2, [0x33], openFlags: O_WRONLY | O_APPEND) == 1)
        #expect(failure { try test.write(node, 0, [0x78], openFlags: O_WRONLY) } == .EPERM)
        #expect(test.contents("file") == Array("123".utf8))
    }

    /// More files than descriptors: each use finds its own file whatever the others open and close.
    @Test func manyWorkersAndFewPlaces() throws {
        let test = try exclusiveShare(on: "/dev/shm") { $0.hotDescriptors = 4 }
        let nodes = try (0..<24).map { number in
            test.write("file\(number)", String(repeating: "\(number % 10)", count: 10))
            return try test.node("file\(number)")
        }
        let wrong = Atomic<Int>(0)
        let box = Counter(wrong)
        let share = test.share
        let threads = try (0..<4).map { worker in
            try Thread(name: "worker\(worker)") {
                guard let fs = try? share.makeWorker() else { return box.add() }
                let pages = Pages([10])
                for round in 0..<4000 {
                    let number = (round &* 7 &+ worker &* 5) % nodes.count
                    var arguments = ReadIn()
                    arguments.size = 10
                    fs.requestBegan()
                    let count = try? fs.read(
                        .root, nodeID: nodes[number], arguments, into: pages.data, deferrals: ReadTaker())
                    if count != 10 || pages.bytes[0] != UInt8(ascii: "0") + UInt8(number % 10) { box.add() }
                    fs.requestEnded()
                    if round % 3 == worker % 3 {
                        fs.requestBegan()
                        var write = WriteIn()
                        write.size = 10
                        if (try? fs.write(.root, nodeID: nodes[number], write, from: pages.data)) != 10 {
                            box.add()
                        }
                        fs.requestEnded()
                    }
                    if round % 16 == 0, let handle = share.openNodes.removeAny() {
                        fs.closeOpen(handle)
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(box.value == 0)
        for node in nodes { test.forget(node) }
        #expect(test.share.guestDescriptors == 0 && test.share.retired.isEmpty)
    }

    private final class Counter: Sendable {
        private let count: Atomic<Int>
        init(_ count: consuming Atomic<Int>) { self.count = count }
        func add() { count.wrappingAdd(1, ordering: .relaxed) }
        var value: Int { count.load(ordering: .relaxed) }
    }
}
