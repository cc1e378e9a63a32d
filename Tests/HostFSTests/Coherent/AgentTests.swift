// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

/// A share whose guest may cache long, a host that is watched, and the agent's requests.
private final class AgentRig {
    let test: TestShare
    let table: VersionTable
    let fs: CoherentFS
    /// Of another process: what it tells is not our daemon's.
    let watcher: VersionTable
    private let folder = try! TemporaryDirectory(prefix: "table-")

    init(mayWait: Bool = false) throws {
        table = try VersionTable(path: folder.path + "/table")
        watcher = try VersionTable(existing: folder.path + "/table")
        test = try TestShare(changes: try WriterPool(table)) { $0.cache = .shared }
        fs = CoherentFS(try test.share.makeWorker(mayWait: mayWait), try WriterPool(table))
        test.write("f", "file")
        mkdir(test.host("d"), 0o755)
        test.write("d/x")
        _ = try test.initialize()
        #expect(watcher.tryToWatch(key("")))
        watcher.beat()
    }

    func key(_ name: String) -> FileKey {
        FileKey(try! FileStatus(AT_FDCWD, test.host(name)))
    }

    func request<R>(_ body: (CoherentFS) throws -> R) rethrows -> R {
        fs.requestBegan()
        defer { fs.requestEnded() }
        return try body(fs)
    }

    func error<R>(_ body: (CoherentFS) throws -> R) -> Errno? {
        do {
            _ = try request(body)
            return nil
        } catch { return error as? Errno }
    }

    func look(_ name: String, as group: AgentGroup? = nil, in parent: NodeID = .root) throws -> EntryOut {
        try request { fs in
            try withName(name) { try fs.lookup(caller(group), parent: parent, name: $0) }
        }
    }

    func read(from offset: UInt64, byteCount: Int = 65536) throws -> ChangeList {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 8)
        defer { memory.deallocate() }
        var vectors = [
            iovec(iov_base: memory.baseAddress, iov_len: 7),
            iovec(iov_base: memory.baseAddress! + 7, iov_len: byteCount - 7),
        ]
        var arguments = ReadIn()
        arguments.handle = AgentNode.handle
        arguments.offset = offset
        arguments.size = UInt32(byteCount)
        let count = try request { fs in
            try vectors.withUnsafeMutableBytes { bytes in
                try fs.read(
                    .root, nodeID: AgentNode.changeList, arguments,
                    into: DataVector(iovecs: bytes.baseAddress, count: 2, byteCount: byteCount),
                    deferrals: NoDeferrals())
            }
        }
        return try #require(ChangeList(ArraySlice(memory.prefix(count))))
    }

    /// What the host's programs do, as the watcher tells it.
    func tell(
        _ kind: JournalRecord.Kind, _ object: FileKey? = nil, in parent: FileKey? = nil, _ name: String = ""
    ) {
        var record = JournalRecord(kind)
        record.object = object
        record.parent = parent
        record.name = Array(name.utf8)
        watcher.journal.append(record)
    }
}

private func caller(_ group: AgentGroup?) -> Caller {
    Caller(uid: 0, gid: group?.rawValue ?? 0, pid: 1, unique: Unique(rawValue: 1))
}

private final class NoDeferrals: DeferralSource {
    func deferReply() -> any DeferredReply { fatalError("nothing here waits") }
}

@Suite struct AgentTests {
    @Test func onlyTheAgentFindsTheChangeList() throws {
        let rig = try AgentRig()
        #expect(try rig.look(ChangeList.fileName).nodeID == 0)
        let list = try rig.look(ChangeList.fileName, as: .look)
        #expect(list.nodeID == AgentNode.changeList.rawValue)
        #expect(list.entryValid == 0 && list.attrValid == 0)
        let d = try rig.look("d")
        #expect(try rig.look(ChangeList.fileName, as: .look, in: NodeID(rawValue: d.nodeID)).nodeID == 0)
        // As the guest's kernel finds it by handle, without a name.
        func found(_ group: AgentGroup?) throws -> UInt64 {
            try rig.request {
                try $0.lookupSpecial(caller(group), nodeID: AgentNode.changeList, parent: false).nodeID
            }
        }
        #expect(try found(.look) == AgentNode.changeList.rawValue)
        #expect(throws: Errno.self) { try found(nil) }
        #expect(throws: Errno.self) { try found(.vanish) }
        let opened = try rig.request { fs in
            try fs.open(caller(.look), nodeID: AgentNode.changeList, OpenIn())
        }
        #expect(opened.openFlags & OpenOutFlags.directIO != 0)
    }

    /// Long only from the agent's first READ on, and not after it has closed the list.
    @Test func howLongTheGuestCaches() throws {
        let rig = try AgentRig()
        let (short, long): (UInt64, UInt64) = (1, 86400)
        #expect(try rig.look("f").entryValid == short)
        #expect(try rig.read(from: 0).state == [])
        let entry = try rig.look("f")
        #expect(entry.entryValid == long && entry.attrValid == long)
        #expect(try rig.look("missing").entryValid == long)
        let node = NodeID(rawValue: entry.nodeID)
        #expect(try rig.request { try $0.getattr(.root, nodeID: node, handle: nil).attrValid } == long)
        #expect(
            try rig.request { try $0.open(.root, nodeID: node, OpenIn()).openFlags }
                & OpenOutFlags.keepCache != 0)

        var release = ReleaseIn()
        release.handle = AgentNode.handle
        try rig.request { try $0.release(.root, nodeID: AgentNode.changeList, release) }
        #expect(try rig.look("f").entryValid == short)
        #expect(
            try rig.request { try $0.open(.root, nodeID: node, OpenIn()).openFlags }
                & OpenOutFlags.keepCache == 0)
    }

    @Test func notWhereNobodyWatches() throws {
        let rig = try AgentRig()
        #expect(try rig.read(from: 0).state == [])
        // Longer than it may be silent.
        usleep(1_100_000)
        #expect(try rig.look("f").entryValid == 1, "the agent has been silent")
        #expect(try rig.read(from: 0).state == .unwatched, "the heartbeat stands still")
        #expect(try rig.look("f").entryValid == 1)
        rig.watcher.beat()
        #expect(try rig.read(from: 0).state == [])
        #expect(try rig.look("f").entryValid == 86400)
    }

    @Test func notWhatAnotherGuestWritesAsMemory() throws {
        let rig = try AgentRig()
        _ = try rig.read(from: 0)
        let others = try WriterPool(rig.watcher)
        try others.map(rig.key("f"))
        #expect(try rig.look("f").attrValid == 0)
        #expect(try rig.look("d").attrValid == 86400)
        others.unmap(rig.key("f"))
        #expect(try rig.look("f").attrValid == 86400)
    }

    @Test func whatIsTold() throws {
        let rig = try AgentRig()
        let next = try rig.read(from: 0).next
        let (root, f, d) = (rig.key(""), rig.key("f"), rig.key("d"))
        let node = try rig.look("f").nodeID
        rig.tell(.content, f, in: root, "f")
        rig.tell(.created, rig.key("d/x"), in: d, "x")  // of a directory that it does not know
        rig.tell(.created, d, in: root, "d")
        rig.tell(.created, nil, in: root, "gone")
        rig.tell(.removed, nil, in: root, "was")
        rig.tell(.attributes, f)
        rig.tell(.attributes, d)
        var mine = JournalRecord(.attributes)
        (mine.object, mine.origin) = (f, rig.table.origin)
        rig.watcher.journal.append(mine)

        let list = try rig.read(from: next)
        func change(
            _ kind: JournalRecord.Kind, _ object: UInt64?, _ parent: UInt64?, _ name: String, _ type: UInt8,
            _ place: UInt64
        ) -> Change {
            var change = Change(kind, sequence: next - 1 + place)
            (change.object, change.parent, change.name, change.type) = (
                object, parent, Array(name.utf8), type
            )
            return change
        }
        let (file, folder) = (UInt8(DT_REG), UInt8(DT_DIR))
        #expect(
            list.changes == [
                change(.content, node, 1, "f", file, 0), change(.created, nil, 1, "d", folder, 2),
                change(.created, nil, 1, "gone", 0, 3), change(.removed, nil, 1, "was", 0, 4),
                change(.attributes, node, nil, "", file, 5),
            ])
        #expect(list.next == next + 8 && list.state == [])
    }

    /// Of what has another name the guest must not take a link away.
    @Test func whatIsRemovedAndStillThere() throws {
        let rig = try AgentRig()
        let next = try rig.read(from: 0).next
        let f = rig.key("f")
        link(rig.test.host("f"), rig.test.host("second"))
        _ = try rig.look("f")
        unlink(rig.test.host("f"))
        rig.tell(.removed, f, in: rig.key(""), "f")
        #expect(try rig.read(from: next).changes.map(\.type) == [UInt8(DT_REG)])
        unlink(rig.test.host("second"))
        #expect(try rig.read(from: next).changes.map(\.type) == [0])
    }

    @Test func asManyAsFit() throws {
        let rig = try AgentRig()
        let next = try rig.read(from: 0).next
        for number in 0..<5 { rig.tell(.removed, nil, in: rig.key(""), "\(number)") }
        let first = try rig.read(from: next, byteCount: 24 + 2 * 296 + 100)
        #expect(first.changes.map(\.name) == [[48], [49]] && first.next == next + 2)
        #expect(try rig.read(from: first.next).changes.count == 3)
        #expect(throws: Errno.EINVAL) { try rig.read(from: next, byteCount: 24 + 295) }
    }

    @Test func whatIsLost() throws {
        let rig = try AgentRig()
        let next = try rig.read(from: 0).next
        rig.tell(.everything)
        #expect(try rig.read(from: next).state == .missed)
        // A table that was made anew.
        #expect(try rig.read(from: 1 << 40).state == .missed)
    }

    /// A worker does not wait; a thread that may does, a quarter of a second.
    @Test func nothingToTell() throws {
        let rig = try AgentRig()
        let next = try rig.read(from: 0).next
        #expect(throws: Errno.mustWait) { try rig.read(from: next) }
        let waiting = try AgentRig(mayWait: true)
        let start = try waiting.read(from: 0).next
        let answer = try waiting.read(from: start)
        #expect(answer.changes.isEmpty && answer.next == start)
    }

    @Test func appearing() throws {
        let rig = try AgentRig()
        #expect(
            rig.error { fs in try withName("f") { try fs.lookup(caller(.appear), parent: .root, name: $0) } }
                == .ENOENT)
        var arguments = MknodIn()
        arguments.mode = FileType.regular | 0o644
        func mknod(_ name: String, _ group: AgentGroup) throws -> EntryOut {
            try rig.request { fs in
                try withName(name) { try fs.mknod(caller(group), parent: .root, name: $0, arguments) }
            }
        }
        let entry = try mknod("f", .appear)
        #expect(entry.nodeID == (try rig.look("f").nodeID))
        let known = rig.test.share.knownInodes
        #expect(throws: Errno.ENOENT) { try mknod("d", .appear) }
        #expect(rig.test.share.knownInodes == known, "what was refused is not counted")
        #expect(throws: Errno.ENOENT) { try mknod("new", .appear) }
        #expect(throws: Errno.ENOENT) { try mknod("new", .look) }
        #expect(access(rig.test.host("new"), F_OK) != 0)
        #expect(
            try rig.request { fs in
                try withName("d") { try fs.mkdir(caller(.appear), parent: .root, name: $0, MkdirIn()) }
            }.attributes.mode & FileType.mask == FileType.directory)
        #expect(
            rig.error { fs in
                try withName("f") { name in
                    try withText("f") {
                        try fs.symlink(caller(.appear), parent: .root, name: name, target: $0)
                    }
                }
            } == .ENOENT)
    }

    @Test func vanishing() throws {
        let rig = try AgentRig()
        func unlink(_ name: String) -> Errno? {
            rig.error { fs in try withName(name) { try fs.unlink(caller(.vanish), parent: .root, name: $0) } }
        }
        #expect(unlink("gone") == nil)
        #expect(try rig.look("gone", as: .vanish).nodeID == AgentNode.phantomFile.rawValue)
        #expect(unlink("f") == nil, "the guest knows nothing of it")
        _ = try rig.look("f")
        #expect(unlink("f") == .EBUSY, "the guest knows this one")
        // The host has put another one there.
        rig.test.write("tmp", "another")
        rename(rig.test.host("tmp"), rig.test.host("f"))
        #expect(unlink("f") == nil)
        #expect(access(rig.test.host("f"), F_OK) == 0)
        func rmdir(_ name: String) -> Errno? {
            rig.error { fs in try withName(name) { try fs.rmdir(caller(.vanish), parent: .root, name: $0) } }
        }
        #expect(rmdir("gone") == nil && rmdir("d") == .EBUSY)
    }

    @Test func moving() throws {
        let rig = try AgentRig()
        #expect(try rig.look("gone", as: .move).nodeID == AgentNode.phantomFile.rawValue)
        let folder = try rig.look("gone", as: .moveDirectory)
        #expect(folder.nodeID == AgentNode.phantomDirectory.rawValue)
        #expect(folder.attributes.mode & FileType.mask == FileType.directory)
        #expect(
            try rig.request {
                try $0.getattr(.root, nodeID: AgentNode.phantomDirectory, handle: nil).attributes.mode
                    & FileType.mask
            } == FileType.directory)
        #expect(
            rig.error { fs in try withName("f") { try fs.lookup(caller(.move), parent: .root, name: $0) } }
                == .ENOENT)
        func rename(_ old: String, _ new: String) -> Errno? {
            rig.error { fs in
                try withName(old) { old in
                    try withName(new) {
                        try fs.rename(
                            caller(.move), parent: .root, name: old, newParent: .root, newName: $0, flags: 0)
                    }
                }
            }
        }
        #expect(rename("gone", "f") == nil && rename("f", "gone") == .ENOENT)
        #expect(access(rig.test.host("f"), F_OK) == 0)
    }

    /// Whatever it is that the agent's groups ask for, the host stays as it is.
    @Test func nothingChanges() throws {
        let rig = try AgentRig()
        let node = NodeID(rawValue: try rig.look("f").nodeID)
        let before = try FileStatus(AT_FDCWD, rig.test.host("f"))
        let journal = JournalReader(rig.table)
        for group in AgentGroup.allCases {
            let agent = caller(group)
            var times = SetAttrIn()
            times.valid = SetAttrValid.mtime | SetAttrValid.mtimeNow | SetAttrValid.size | SetAttrValid.mode
            let reply = try rig.request { try $0.setattr(agent, nodeID: node, times) }
            #expect(reply.attributes.size == 4)
            var flags = OpenIn()
            flags.flags = UInt32(O_WRONLY | O_TRUNC)
            let handle = try rig.request { try $0.open(agent, nodeID: node, flags).handle }
            var write = WriteIn()
            write.handle = handle
            #expect(rig.error { try $0.write(agent, nodeID: node, write, from: .empty) } == .EPERM)
            #expect(rig.error { try $0.write(.root, nodeID: node, write, from: .empty) } == .EBADF)
            #expect(rig.error { try $0.fallocate(agent, nodeID: node, FallocateIn()) } == .EPERM)
            #expect(rig.error { try $0.copyFileRange(agent, nodeID: node, CopyFileRangeIn()) } == .EPERM)
            #expect(rig.error { try $0.tmpfile(agent, parent: .root, CreateIn()) } == .EPERM)
            #expect(
                rig.error { fs in try withText("user.a") { try fs.removexattr(agent, nodeID: node, name: $0) }
                } == .EPERM)
            #expect(
                rig.error { fs in
                    try withName("new") { try fs.link(agent, nodeID: node, newParent: .root, name: $0) }
                } == .EPERM)
            #expect(
                rig.error { fs in
                    try withName("new") { try fs.create(agent, parent: .root, name: $0, CreateIn()) }
                } == .EPERM)
            #expect(
                rig.error { fs in try withName("d") { try fs.rmdir(agent, parent: .root, name: $0) } } != nil)
            #expect(
                rig.error { fs in try withName("f") { try fs.unlink(agent, parent: .root, name: $0) } } != nil
            )
            var release = ReleaseIn()
            release.handle = handle
            try rig.request { try $0.release(agent, nodeID: node, release) }
        }
        let after = try FileStatus(AT_FDCWD, rig.test.host("f"))
        #expect(
            after.raw.stx_mtime.tv_nsec == before.raw.stx_mtime.tv_nsec
                && after.raw.stx_ctime.tv_nsec == before.raw.stx_ctime.tv_nsec)
        #expect(after.raw.stx_size == 4)
        #expect(journal.next() == nil)
        #expect(access(rig.test.host("new"), F_OK) != 0 && access(rig.test.host("d"), F_OK) == 0)
    }

    /// Without `--cache shared` the groups are groups as any.
    @Test func nobodyElseListens() throws {
        let folder = try TemporaryDirectory(prefix: "table-")
        let writers = try WriterPool(try VersionTable(path: folder.path + "/table"))
        let test = try TestShare(changes: writers)
        let fs = CoherentFS(test.fs, writers)
        _ = try test.initialize()
        fs.requestBegan()
        #expect(
            try withName(ChangeList.fileName) { try fs.lookup(caller(.look), parent: .root, name: $0) }.nodeID
                == 0)
        #expect(throws: Errno.ESTALE) { try fs.getattr(.root, nodeID: AgentNode.changeList, handle: nil) }
        fs.requestEnded()
    }

    /// With idmapped mounts the guest would not send the agent's group.
    @Test func theGroupIsSent() throws {
        let rig = try AgentRig()
        #expect(try rig.test.initialize() & InitFlags.allowIdmap == 0)
        #expect(try TestShare().initialize() & InitFlags.allowIdmap != 0)
    }
}
