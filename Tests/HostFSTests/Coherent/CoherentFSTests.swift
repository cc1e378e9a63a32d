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

/// A share whose changes are told, and somebody who listens.
private final class CoherentRig {
    let test: TestShare
    let table: VersionTable
    let fs: CoherentFS
    let reader: JournalReader
    private let folder = try! TemporaryDirectory(prefix: "table-")

    init() throws {
        test = try TestShare()
        table = try VersionTable(
            path: folder.path + "/table", tableByteCount: 64 << 20, journalByteCount: 2 << 20)
        fs = CoherentFS(test.fs, try WriterPool(table))
        reader = JournalReader(table)
        test.write("f", "file")
        test.write("g", "other")
        mkdir(test.host("d"), 0o755)
        test.write("d/x")
        _ = try test.initialize()
    }

    func key(_ name: String) -> FileKey? {
        (try? FileStatus(AT_FDCWD, test.host(name))).map { FileKey($0) }
    }

    func request<R>(_ body: (CoherentFS) throws -> R) rethrows -> R {
        fs.requestBegan()
        defer { fs.requestEnded() }
        return try body(fs)
    }

    /// What `body` changes of the objects with these names before or after it.
    func changes(of names: [String] = ["", "f", "g", "d", "d/x"], _ body: (CoherentFS) throws -> Void)
        rethrows
        -> [String: Aspects]
    {
        let keys = names.map { key($0) }
        let before = keys.map { versions($0) }
        try request(body)
        var result: [String: Aspects] = [:]
        for (index, name) in names.enumerated() {
            let after = versions(keys[index])
            var aspects: Aspects = []
            if after.0 != before[index].0 { aspects.insert(.attributes) }
            if after.1 != before[index].1 { aspects.insert(.content) }
            if aspects != [] { result[name] = aspects }
            if let key = keys[index] { #expect(!table.isChanging(table.slot(of: key))) }
        }
        return result
    }

    private func versions(_ key: FileKey?) -> (UInt64, UInt64) {
        guard let key else { return (0, 0) }
        let slot = table.slot(of: key)
        return (table.attributesVersion(slot), table.contentVersion(slot))
    }

    /// All that the journal has got since the last question, as text.
    var journal: [String] {
        var result: [String] = []
        while let event = reader.next() {
            guard case .record(let record, _) = event else { return result + ["missed"] }
            #expect(record.origin == table.origin)
            if let object = record.object { #expect(record.slot == table.slot(of: object)) }
            result.append("\(record.kind) \(String(decoding: record.name, as: UTF8.self))")
        }
        return result
    }
}

@Suite struct CoherentFSTests {
    @Test func whatMakesNames() throws {
        let rig = try CoherentRig()
        #expect(
            try rig.changes { fs in
                _ = try withName("new") { try fs.mkdir(.root, parent: .root, name: $0, MkdirIn()) }
            } == ["": .both])
        #expect(
            try rig.changes { fs in
                var arguments = MknodIn()
                arguments.mode = 0o010000 | 0o600
                _ = try withName("pipe") { try fs.mknod(.root, parent: .root, name: $0, arguments) }
            } == ["": .both])
        #expect(
            try rig.changes { fs in
                _ = try withName("link") { name in
                    try withText("f") { try fs.symlink(.root, parent: .root, name: name, target: $0) }
                }
            } == ["": .both])
        #expect(rig.journal == ["created new", "created pipe", "created link"])
    }

    @Test func whatMakesFiles() throws {
        let rig = try CoherentRig()
        var arguments = CreateIn()
        arguments.flags = UInt32(O_RDWR | O_CREAT | O_EXCL)
        arguments.mode = 0o600
        #expect(
            try rig.changes { fs in
                _ = try withName("new") { try fs.create(.root, parent: .root, name: $0, arguments) }
            } == ["": .both])
        // One that is there: opened, and with O_TRUNC emptied.
        arguments.flags = UInt32(O_RDWR | O_CREAT)
        #expect(
            try rig.changes { fs in
                _ = try withName("f") { try fs.create(.root, parent: .root, name: $0, arguments) }
            } == ["": .both, "f": .both])
        arguments.flags = UInt32(O_RDWR | O_CREAT | O_TRUNC)
        #expect(
            try rig.changes { fs in
                _ = try withName("f") { try fs.create(.root, parent: .root, name: $0, arguments) }
            } == ["": .both, "f": .both])
        #expect(rig.journal == ["created new", "content "])
        // Nobody can have cached what had no name.
        #expect(try rig.changes { _ = try $0.tmpfile(.root, parent: .root, arguments) } == [:])
    }

    @Test func linksAndWhatRemovesNames() throws {
        let rig = try CoherentRig()
        let (file, directory) = (try rig.test.node("f"), try rig.test.node("d"))
        #expect(
            try rig.changes { fs in
                _ = try withName("h") {
                    try fs.link(.root, nodeID: file, newParent: directory, name: $0)
                }
            } == ["f": .attributes, "d": .both])
        #expect(
            try rig.changes { fs in
                try withName("h") { try fs.unlink(.root, parent: directory, name: $0) }
            } == ["f": .both, "d": .both])
        #expect(
            try rig.changes { fs in
                try withName("x") { try fs.unlink(.root, parent: directory, name: $0) }
            } == ["d": .both, "d/x": .both])
        #expect(
            try rig.changes { fs in
                try withName("d") { try fs.rmdir(.root, parent: .root, name: $0) }
            } == ["": .both, "d": .both])
        #expect(rig.journal == ["created h", "removed h", "removed x", "removed d"])
    }

    @Test func renames() throws {
        let rig = try CoherentRig()
        let directory = try rig.test.node("d")
        func rename(
            _ name: String, _ parent: NodeID, _ newName: String, _ newParent: NodeID, _ flags: Int32 = 0
        )
            throws -> [String: Aspects]
        {
            try rig.changes { fs in
                try withName(name) { old in
                    try withName(newName) {
                        try fs.rename(
                            .root, parent: parent, name: old, newParent: newParent, newName: $0,
                            flags: UInt32(bitPattern: flags))
                    }
                }
            }
        }
        #expect(try rename("f", .root, "y", directory) == ["": .both, "f": .both, "d": .both])
        // Over another, which loses a link.
        #expect(try rename("x", directory, "g", .root) == ["": .both, "d": .both, "d/x": .both, "g": .both])
        #expect(rig.journal == ["movedAway f", "movedHere y", "movedAway x", "movedHere g", "attributes "])
        rig.test.write("a")
        rig.test.write("b")
        _ = try rename("a", .root, "b", .root, RENAME_EXCHANGE)
        #expect(rig.journal == ["movedAway a", "movedHere b", "movedAway b", "movedHere a"])
    }

    @Test func whatChangesAnObject() throws {
        let rig = try CoherentRig()
        let file = try rig.test.node("f")
        func setting(_ configure: (inout SetAttrIn) -> Void) throws -> [String: Aspects] {
            var arguments = SetAttrIn()
            configure(&arguments)
            return try rig.changes { _ = try $0.setattr(.root, nodeID: file, arguments) }
        }
        #expect(
            try setting {
                $0.valid = SetAttrValid.mode
                $0.mode = 0o600
            } == ["f": .attributes])
        #expect(try setting { $0.valid = SetAttrValid.size } == ["f": .both])
        #expect(rig.journal == ["attributes ", "content "])

        var open = OpenIn()
        open.flags = UInt32(O_RDWR | O_TRUNC)
        var handle: UInt64 = 0
        #expect(
            try rig.changes { handle = try $0.open(.root, nodeID: file, open).handle } == ["f": .both])
        var space = FallocateIn()
        space.handle = handle
        space.length = 4096
        #expect(try rig.changes { try $0.fallocate(.root, nodeID: file, space) } == ["f": .both])
        #expect(rig.journal == ["content ", "content "])
        var write = WriteIn()
        write.handle = handle
        #expect(
            try rig.changes { fs in
                var byte: UInt8 = 7
                try withUnsafeMutableBytes(of: &byte) { bytes in
                    var vector = iovec(iov_base: bytes.baseAddress, iov_len: 1)
                    write.size = 1
                    _ = try fs.write(
                        .root, nodeID: file, write,
                        from: DataVector(iovecs: &vector, count: 1, byteCount: 1))
                }
            } == ["f": .both])
        #expect(rig.journal == [])
        var release = ReleaseIn()
        release.handle = handle
        #expect(try rig.changes { try $0.release(.root, nodeID: file, release) } == [:])
        #expect(rig.journal == ["content "])

        open.flags = UInt32(O_RDONLY)
        try rig.request { release.handle = try $0.open(.root, nodeID: file, open).handle }
        try rig.request { try $0.release(.root, nodeID: file, release) }
        #expect(rig.journal == [])
    }

    @Test func whatFailsIsNotTold() throws {
        let rig = try CoherentRig()
        for (name, error) in [("f", Errno.EEXIST), ("d", .EEXIST)] {
            #expect(
                throws: error,
                performing: {
                    try rig.request { fs in
                        _ = try withName(name) { try fs.mkdir(.root, parent: .root, name: $0, MkdirIn()) }
                    }
                })
        }
        #expect(throws: Errno.ENOENT) {
            try rig.request { fs in try withName("none") { try fs.unlink(.root, parent: .root, name: $0) } }
        }
        #expect(throws: Errno.ESTALE) {
            try rig.request { _ = try $0.setattr(.root, nodeID: NodeID(rawValue: 99), SetAttrIn()) }
        }
        #expect(rig.journal == [])
        #expect(!rig.table.isChanging(rig.table.slot(of: rig.key("")!)))
    }

    @Test func askingChangesNothing() throws {
        let rig = try CoherentRig()
        let changes = try rig.changes { fs in
            _ = try withName("f") { try fs.lookup(.root, parent: .root, name: $0) }
            _ = try fs.getattr(.root, nodeID: .root, handle: nil)
            _ = try fs.statfs(.root, nodeID: .root)
        }
        #expect(changes == [:])
        #expect(rig.journal == [])
    }
}
