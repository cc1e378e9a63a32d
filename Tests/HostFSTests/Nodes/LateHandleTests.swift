// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Testing

@testable import HostFS

/// Objects that the guest makes live by a descriptor until they get their file handle.
@Suite struct LateHandleTests {
    private func record(_ test: TestShare, _ node: NodeID) -> InodeRecord {
        test.share.inodes.record(UInt32(truncatingIfNeeded: node.rawValue))
    }

    private func size(_ test: TestShare, _ node: NodeID) throws -> UInt64 {
        try test.request { try $0.getattr(.root, nodeID: node, handle: nil) }.attributes.size
    }

    @Test func aCreatedFileLivesByItsOpenFileUntilRelease() throws {
        let test = try TestShare()
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        let out = try test.create("f", O_WRONLY)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(!record(test, node).hasHandle && record(test, node).descriptor >= 0)
        #expect(try test.write(node, out.open.handle, [1, 2, 3]) == 3)
        #expect(try size(test, node) == 3)
        // What is write-only for the guest is still read through another handle, and moved on the host.
        Glibc.rename(test.host("f"), test.host("g"))
        let second = try test.openNode(node, O_RDONLY)
        #expect(try test.read(node, second.handle, [9]) == [1, 2, 3])
        try test.release(node, out.open.handle)
        #expect(record(test, node).hasHandle && record(test, node).descriptor == -1)
        try test.release(node, second.handle)
        #expect(test.openDescriptors() == 0)
        #expect(try size(test, node) == 3)
    }

    /// Where somebody says when the guest has its answer, nobody waits for a RELEASE.
    @Test func aReleasedFileIsClosedAfterTheAnswer() throws {
        let test = try TestShare()
        guard test.share.usesFileHandles else { return print("skipped: no file handles here") }
        test.fs.closesLater = true
        for isAnswered in [true, false] {
            let out = try test.create("f\(isAnswered)", O_WRONLY)
            let node = NodeID(rawValue: out.entry.nodeID)
            try test.release(node, out.open.handle)
            #expect(!record(test, node).hasHandle && record(test, node).descriptor >= 0)
            #expect(test.openDescriptors() == 1)
            // At the latest when the next request begins.
            if isAnswered { test.fs.requestAnswered() } else { test.request { $0.forget(node, count: 0) } }
            #expect(record(test, node).hasHandle && record(test, node).descriptor == -1)
            #expect(test.openDescriptors() == 0)
        }
        func closesLater(mayWait: Bool) throws -> Bool? {
            (try test.share.makeFileSystem(mayWait: mayWait) as? HostFS)?.closesLater
        }
        #expect(try closesLater(mayWait: false) == true && closesLater(mayWait: true) == false)
    }

    /// The handle of what has lost its name leads nowhere; it is opened by its hot descriptor.
    @Test func aHotFileIsOpenedWithoutAName() throws {
        let test = try TestShare()
        let out = try test.create("f", O_WRONLY)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(try test.write(node, out.open.handle, [1, 2, 3]) == 3)
        try test.release(node, out.open.handle)
        #expect(try size(test, node) == 3)
        for isNamed in [true, false] {
            if !isNamed { Glibc.unlink(test.host("f")) }
            let again = try test.openNode(node, O_RDONLY)
            #expect(try test.read(node, again.handle, [9]) == [1, 2, 3])
            try test.release(node, again.handle)
        }
    }

    /// A guest that forgets what it has open, in either order, closes each descriptor once.
    @Test func forgottenWhileItIsOpen() throws {
        let test = try TestShare()
        for round in 0..<3 {
            let out = try test.create("f\(round)", O_RDWR)
            let node = NodeID(rawValue: out.entry.nodeID)
            test.forget(node)
            #expect(try test.read(node, out.open.handle, [9]) == [])
            #expect(test.error { try $0.getattr(.root, nodeID: node, handle: nil) } == .ESTALE)
            // The next record takes the slot of the one that was forgotten.
            let other = try test.create("g\(round)", O_RDWR)
            try test.release(node, out.open.handle)
            #expect(try size(test, NodeID(rawValue: other.entry.nodeID)) == 0)
        }
        test.request { $0.destroy() }
        #expect(test.openDescriptors() == 0)
        #expect(test.share.guestDescriptors == 0)
        #expect(test.share.knownInodes == 1)
    }

    /// Another worker that uses the lent descriptor holds up its closing.
    @Test func aLentDescriptorIsNotClosedUnderItsUser() throws {
        let test = try TestShare()
        let out = try test.create("f", O_RDWR)
        let node = NodeID(rawValue: out.entry.nodeID)
        let other = try test.share.makeWorker()
        other.requestBegan()
        let number = try other.descriptor(of: node)
        try test.release(node, out.open.handle)
        #expect(try FileStatus(of: number).type == FileType.regular)
        #expect(!test.share.retired.isEmpty)
        other.requestEnded()
        #expect(test.share.retired.isEmpty)
        #expect(try size(test, node) == 0)
    }

    @Test func withoutRoomForItsHandleNothingIsLeft() throws {
        let test = try TestShare()
        var taken = 0
        while (try? test.share.quota.take()) != nil { taken += 1 }
        #expect(failure { try test.create("f", O_RDWR) } == .ENFILE)
        #expect(test.openDescriptors() == 0)
        #expect(test.share.knownInodes == 1)
        for _ in 0..<taken { test.share.quota.giveBack() }
        #expect(try test.lookup("f").nodeID != 0)
    }

    /// A file that is replaced while its maker has it open has no use for a handle.
    @Test func whatIsReplacedWhileItIsOpenStays() throws {
        let test = try TestShare()
        let out = try test.create("f", O_RDWR)
        let node = NodeID(rawValue: out.entry.nodeID)
        #expect(try test.write(node, out.open.handle, [7]) == 1)
        test.write("n", "new")
        try test.rename("n", "f")
        try test.release(node, out.open.handle)
        let opened = try test.openNode(node, O_RDONLY)
        #expect(try test.read(node, opened.handle, [9]) == [7])
        #expect(test.contents("f") == Array("new".utf8))
    }

    /// More than can be hot: those that gave way have handles, also those that the host has moved.
    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func whatWasMadeIsReachedWhenItIsColdToo(policy: FileHandlePolicy) throws {
        let test = try TestShare {
            $0.hotDescriptors = 8
            $0.inodeFileHandles = policy
        }
        var nodes: [NodeID] = []
        for index in 0..<20 {
            nodes.append(NodeID(rawValue: try test.mkdir("d\(index)").nodeID))
            nodes.append(NodeID(rawValue: try test.symlink("l\(index)", to: "x").nodeID))
            nodes.append(NodeID(rawValue: try test.mknod("p\(index)", S_IFIFO | 0o600).nodeID))
        }
        for index in 0..<20 { Glibc.rename(test.host("d\(index)"), test.host("moved\(index)")) }
        if test.share.usesFileHandles { #expect(test.heldDescriptors <= 8) }
        for node in nodes { _ = try size(test, node) }
        for index in 0..<20 { #expect(try test.node("moved\(index)") == nodes[index * 3]) }
        for (index, node) in nodes.enumerated() { test.forget(node, index % 3 == 0 ? 2 : 1) }
        #expect(test.openDescriptors() == 0)
        #expect(test.share.knownInodes == 1)
    }

    @Test func aRecordTellsALentDescriptorFromItsOwn() throws {
        let test = try TestShare()
        let own = record(test, NodeID(rawValue: try test.mkdir("d").nodeID))
        let number = own.descriptor
        #expect(number >= 0 && !own.isLent(number) && !own.giveBack(number))
        #expect(own.takeDescriptor() == number && own.descriptor == -1)
        close(number)
        let out = try test.create("f", O_RDWR)
        let lent = record(test, NodeID(rawValue: out.entry.nodeID))
        #expect(lent.isLent(lent.descriptor) && !lent.install(5))
        #expect(lent.takeDescriptor() == -1 && lent.descriptor == -1)
    }
}
