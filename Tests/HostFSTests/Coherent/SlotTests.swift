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

/// What a front-end that follows the version table is told.
@Suite struct SlotTests {
    private let folder = try! TemporaryDirectory(prefix: "table-")

    private func share(follower: Int?) throws -> (test: TestShare, table: VersionTable) {
        let table = try VersionTable(path: folder.path + "/table")
        let test = try TestShare(changes: try WriterPool(table)) { $0.cache = .never }
        test.write("f", "file")
        var offer = InitOffer(minor: 45, flags: .max, maxReadahead: 131_072)
        offer.follower = follower
        let choice = try test.request { try $0.initialize(offer) }
        #expect(choice.tellsSlots == (follower != nil))
        return (test, table)
    }

    private func slot(_ test: TestShare, _ table: VersionTable, _ name: String) throws -> UInt64 {
        UInt64(table.slot(of: FileKey(try FileStatus(AT_FDCWD, test.host(name)))))
    }

    @Test func entriesAndAttributesCarrySlots() throws {
        let (test, table) = try share(follower: 5)
        let entry = try test.lookup("f")
        let expected = try slot(test, table, "f")
        #expect((entry.entryValid, entry.attrValid) == (expected, expected))
        #expect((entry.entryValidNsec, entry.attrValidNsec) == (0, 0))
        let attributes = try test.request {
            try $0.getattr(.root, nodeID: NodeID(rawValue: entry.nodeID), handle: nil)
        }
        #expect(attributes.attrValid == expected)
        let root = try test.request { try $0.getattr(.root, nodeID: .root, handle: nil) }
        #expect(root.attrValid == (try slot(test, table, "")))
        // A name that is missing is told as one that may be remembered.
        #expect(try test.lookup("none").nodeID == 0)
    }

    @Test func othersHearOfNone() throws {
        let (test, _) = try share(follower: nil)
        let entry = try test.lookup("f")
        #expect((entry.entryValid, entry.attrValid) == (0, 0))
        #expect(
            test.error { fs in try withName("none") { try fs.lookup(.root, parent: .root, name: $0) } }
                == .ENOENT)
    }

    @Test func attributesAreOfAMomentWithoutChanges() throws {
        let (test, table) = try share(follower: 5)
        let node = try test.node("f")
        let writer = try #require(TableWriter(table))
        var touched = Touched()
        touched.add(UInt32(try slot(test, table, "f")), .both)
        writer.begin(touched)
        let path = test.host("f")
        let thread = try HostOS.Thread(name: "writer") {
            usleep(5000)
            truncate(path, 100)
            writer.end()
        }
        let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
        thread.join()
        #expect(attributes.attributes.size == 100)
    }

    /// What another guest writes as memory has another time in each answer, at once.
    @Test func whatIsWrittenElsewhereIsNeverKept() throws {
        let (test, table) = try share(follower: 5)
        let node = try test.node("f")
        let others = try WriterPool(table)
        let key = FileKey(try FileStatus(AT_FDCWD, test.host("f")))
        try others.map(key)
        let times = try Set(
            (0..<10).map { _ in
                try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }.attributes.mtimensec
            })
        #expect(times.count == 10)
        others.unmap(key)
        let mtime = try FileStatus(AT_FDCWD, test.host("f")).raw.stx_mtime.tv_nsec
        #expect(
            try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }.attributes.mtimensec
                == mtime)
    }

    /// A writer that is held up does not hold up others for ever; then the time is not the true one.
    @Test func aChangeThatDoesNotEndIsNotWaitedForForEver() throws {
        let (test, table) = try share(follower: 5)
        let node = try test.node("f")
        let mtime = try FileStatus(AT_FDCWD, test.host("f")).raw.stx_mtime.tv_nsec
        let writer = try #require(TableWriter(table))
        var touched = Touched()
        touched.add(UInt32(try slot(test, table, "f")), .both)
        writer.begin(touched)
        let attributes = try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }
        #expect(attributes.attributes.mtimensec == mtime ^ 1)
        writer.end()
    }
}
