// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

/// One record of a READDIR or READDIRPLUS reply.
struct ListedEntry {
    var name: [UInt8]
    var dirent: Dirent
    var entry: EntryOut?
}

/// Cuts a reply into its records; fails on one that is not whole.
func parse(_ bytes: [UInt8], plus: Bool) throws -> [ListedEntry] {
    var result: [ListedEntry] = []
    var offset = 0
    try bytes.withUnsafeBytes { bytes in
        while offset < bytes.count {
            var entry: EntryOut?
            if plus {
                try #require(offset + 128 <= bytes.count)
                entry = bytes.loadUnaligned(fromByteOffset: offset, as: EntryOut.self)
                offset += 128
            }
            try #require(offset + 24 <= bytes.count)
            let dirent = bytes.loadUnaligned(fromByteOffset: offset, as: Dirent.self)
            let end = offset + 24 + Int(dirent.nameLength)
            try #require(end <= bytes.count)
            let padded = (end + 7) & ~7
            try #require(padded <= bytes.count)
            #expect(bytes[end..<padded].allSatisfy { $0 == 0 })
            result.append(ListedEntry(name: Array(bytes[offset + 24..<end]), dirent: dirent, entry: entry))
            offset = padded
        }
    }
    return result
}

@Suite struct DirectoryTests {
    private func open(_ test: TestShare, _ node: NodeID = .root) throws -> UInt64 {
        try test.request { try $0.opendir(.root, nodeID: node, OpenIn()).handle }
    }

    private func list(
        _ test: TestShare, _ handle: UInt64, node: NodeID = .root, at offset: UInt64, size: Int = 4096,
        plus: Bool = false
    ) throws -> [ListedEntry] {
        var arguments = ReadIn()
        arguments.handle = handle
        arguments.offset = offset
        arguments.size = UInt32(size)
        let bytes = try reply(capacity: size) { buffer in
            try test.request { fs in
                if plus {
                    try fs.readdirplus(.root, nodeID: node, arguments, into: &buffer)
                } else {
                    try fs.readdir(.root, nodeID: node, arguments, into: &buffer)
                }
            }
        }
        return try parse(bytes, plus: plus)
    }

    private func listAll(
        _ test: TestShare, _ handle: UInt64, node: NodeID = .root, size: Int, plus: Bool
    ) throws -> [ListedEntry] {
        var all: [ListedEntry] = []
        var offset: UInt64 = 0
        while true {
            let some = try list(test, handle, node: node, at: offset, size: size, plus: plus)
            guard let last = some.last else { return all }
            all += some
            offset = last.dirent.offset
        }
    }

    @Test(arguments: ["/tmp", "/dev/shm"], [512, 700, 4096, 65536])
    func everyEntryIsListedOnce(base: String, size: Int) throws {
        let test = try TestShare(on: base)
        var names: Set<[UInt8]> = [[0x2e], [0x2e, 0x2e]]
        for length in 1...255 where length % 3 == 0 || length > 250 {
            let name = String(repeating: "n", count: length)
            test.write(name)
            names.insert(Array(name.utf8))
        }
        let handle = try open(test)
        for plus in [false, true] {
            let all = try listAll(test, handle, size: size, plus: plus)
            #expect(all.count == names.count)
            #expect(Set(all.map(\.name)) == names)
            #expect(all.allSatisfy { $0.dirent.type == 8 || $0.name.first == 0x2e && $0.dirent.type == 4 })
        }
    }

    @Test func lookupsAreExactlyWhatWasDelivered() throws {
        let test = try TestShare()
        for number in 0..<50 { test.write("file\(number)") }
        let handle = try open(test)
        let first = try listAll(test, handle, size: 2000, plus: true)
        let again = try listAll(test, handle, size: 60000, plus: true)
        for listed in first where listed.name.first != 0x2e {
            let entry = try #require(listed.entry)
            #expect(entry.nodeID != 0 && entry.attributes.ino == listed.dirent.ino && entry.entryValid == 1)
            #expect(again.first { $0.name == listed.name }?.entry?.nodeID == entry.nodeID)
            #expect(test.share.inodes.record(UInt32(truncatingIfNeeded: entry.nodeID)).lookups == 2)
            test.request { $0.forget(NodeID(rawValue: entry.nodeID), count: 2) }
        }
        for listed in first where listed.name.first == 0x2e { #expect(listed.entry?.nodeID == 0) }
        #expect(test.share.knownInodes == 1)
    }

    @Test func anOffsetThatCameBeforeIsSeekedTo() throws {
        let test = try TestShare()
        for number in 0..<100 { test.write("file\(number)") }
        let handle = try open(test)
        let all = try listAll(test, handle, size: 4096, plus: false)
        for index in [50, 3, 98, 0] {
            let rest = try list(test, handle, at: all[index].dirent.offset, size: 512)
            #expect(rest.first?.name == all[index + 1].name)
        }
        #expect(try list(test, handle, at: all[all.count - 1].dirent.offset).isEmpty)
        #expect(try list(test, handle, at: 0).first?.name == all[0].name)
    }

    /// POSIX: what is neither added nor removed while the directory is read is listed exactly once.
    @Test func readingUnderChange() throws {
        let test = try TestShare()
        for number in 0..<200 { test.write("stays\(number)") }
        let handle = try open(test)
        var seen: [[UInt8]] = []
        var offset: UInt64 = 0
        var round = 0
        while true {
            let some = try list(test, handle, at: offset, size: 1024, plus: true)
            guard let last = some.last else { break }
            seen += some.map(\.name)
            offset = last.dirent.offset
            test.write("new\(round)")
            if round > 0 { unlink(test.host("new\(round - 1)")) }
            round += 1
        }
        for number in 0..<200 {
            let name = Array("stays\(number)".utf8)
            #expect(seen.count { $0 == name } == 1)
        }
    }

    /// An entry that the table has no room for comes without attributes, and is not counted.
    @Test func whatCannotBeKnownIsDeliveredWithoutANode() throws {
        let test = try TestShare(inodes: 4)  // the root and two more
        for number in 0..<5 { test.write("file\(number)") }
        let handle = try open(test)
        let all = try listAll(test, handle, size: 4096, plus: true)
        #expect(all.count == 7)
        #expect(all.count { $0.entry?.nodeID != 0 } == 2)
        for listed in all {
            if let node = listed.entry?.nodeID, node != 0 {
                test.request { $0.forget(NodeID(rawValue: node), count: 1) }
            }
        }
        #expect(test.share.knownInodes == 1)
    }

    @Test func aRemovedDirectoryIsReadAsTheHostReadsIt() throws {
        let test = try TestShare()
        mkdir(test.host("d"), 0o755)
        let node = try test.node("d")
        let handle = try open(test, node)
        #expect(rmdir(test.host("d")) == 0)
        #expect(throws: Errno.ENOENT) { try list(test, handle, node: node, at: 0) }
    }

    @Test func roomForLessThanAnEntryIsNotTheEnd() throws {
        let test = try TestShare()
        let handle = try open(test)
        for size in [0, 1, 31] { #expect(throws: Errno.EINVAL) { try list(test, handle, at: 0, size: size) } }
        #expect(throws: Errno.EINVAL) { try list(test, handle, at: 0, size: 159, plus: true) }
        #expect(try list(test, handle, at: 0, size: 32).count == 1)
        #expect(try list(test, handle, at: 0, size: 160, plus: true).count == 1)
    }

    @Test func handlesAreChecked() throws {
        let test = try TestShare()
        test.write("file")
        let file = try test.node("file")
        let handle = try open(test)
        let fileHandle = try test.request {
            try $0.addHandle(try $0.reopen(file, flags: O_RDONLY), node: file, kind: .file, flags: O_RDONLY)
        }.rawValue
        for forged in [0, handle + 1 << 32, 77, UInt64.max] {
            #expect(throws: Errno.EBADF) { try list(test, forged, at: 0) }
        }
        #expect(throws: Errno.EBADF) { try list(test, fileHandle, node: file, at: 0) }
        #expect(throws: Errno.EBADF) { try list(test, handle, node: file, at: 0) }
        #expect(test.error { try $0.openFile(handle, of: .root) } == .EBADF)
        var release = ReleaseIn()
        release.handle = fileHandle
        #expect(test.error { try $0.releasedir(.root, nodeID: file, release) } == .EBADF)
        release.handle = handle
        #expect(test.error { try $0.releasedir(.root, nodeID: .root, release) } == nil)
        #expect(test.error { try $0.releasedir(.root, nodeID: .root, release) } == .EBADF)
        #expect(throws: Errno.EBADF) { try list(test, handle, at: 0) }
        #expect(test.share.guestDescriptors == 1)
    }

    @Test func fsyncdirAndOpenFlags() throws {
        for policy in CachePolicy.allCases {
            let test = try TestShare { $0.cache = policy }
            let opened = try test.request { try $0.opendir(.root, nodeID: .root, OpenIn()) }
            let caches = policy == .always || policy == .metadata
            #expect(opened.openFlags == (caches ? OpenOutFlags.keepCache | OpenOutFlags.cacheDirectory : 0))
            var sync = FsyncIn()
            sync.handle = opened.handle
            #expect(test.error { try $0.fsyncdir(.root, nodeID: .root, sync) } == nil)
            sync.flags = FsyncIn.dataOnly
            #expect(test.error { try $0.fsyncdir(.root, nodeID: .root, sync) } == nil)
        }
    }
}
