// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Testing

/// Every opcode through `FuseServer` to a file system that writes down what it is asked.
@Suite struct DispatchTests {
    func started() -> (Harness, RecordingFS) {
        let fileSystem = RecordingFS()
        let harness = Harness(fileSystem)
        harness.start()
        fileSystem.forgetCalls()
        return (harness, fileSystem)
    }

    @Test func everyOperationThatIsServedHasAnExample() {
        let served = Set(ValidRequest.all.map(\.opcode)).union([26, 38])
        let refused: Set<UInt32> = [37, 40, 41]  // BMAP POLL NOTIFY_REPLY
        #expect(served.isDisjoint(with: refused))
        #expect(served.union(refused) == Set(Opcode.allCases.map(\.rawValue)))
    }

    @Test(arguments: ValidRequest.all)
    func argumentsAndReply(_ valid: ValidRequest) {
        let (harness, fileSystem) = started()
        let reply = harness.send(valid.bytes)
        #expect(fileSystem.calls == [valid.call])
        #expect(harness.server.refusals.total == 0)
        guard let body = valid.reply else {
            #expect(reply.outcome == .noReply)
            return
        }
        #expect(reply.error == 0)
        #expect(reply.header.unique == 42)
        #expect(Int(reply.header.length) == 16 + body.count)
        #expect((valid.isDirect ? reply.direct : reply.body) == body)
        #expect(
            reply.outcome
                == .reply(
                    scratchByteCount: valid.isDirect ? 16 : 16 + body.count,
                    directByteCount: valid.isDirect ? body.count : 0))
    }

    @Test(arguments: ValidRequest.all)
    func theFileSystemsErrorIsTheGuests(_ valid: ValidRequest) {
        let (harness, fileSystem) = started()
        fileSystem.error = .EXDEV
        let reply = harness.send(valid.bytes)
        #expect(fileSystem.calls == [valid.call])
        guard valid.reply != nil else {
            #expect(reply.outcome == .noReply)
            return
        }
        #expect(reply.outcome == .reply(scratchByteCount: 16, directByteCount: 0))
        #expect(reply.error == -18)
        #expect(reply.header.length == 16)
        #expect(harness.server.refusals.total == 0)
    }

    @Test func theCallerIsTheHeaders() throws {
        let (harness, fileSystem) = started()
        harness.send(message(1, name("a"), unique: 0x1234))
        let caller = try #require(fileSystem.callers.last)
        #expect(caller.uid == 1000)
        #expect(caller.gid == 100)
        #expect(caller.pid == 77)
        #expect(caller.unique == Unique(rawValue: 0x1234))
        #expect(caller.supplementaryGroup == nil)
        #expect(caller.label == nil)
    }

    @Test func everyRequestIsBracketed() {
        let (harness, fileSystem) = started()
        let before = fileSystem.began
        for valid in ValidRequest.all { harness.send(valid.bytes) }
        fileSystem.error = .EIO
        for valid in ValidRequest.all { harness.send(valid.bytes) }
        #expect(fileSystem.began == before + 2 * ValidRequest.all.count)
        #expect(fileSystem.ended == fileSystem.began)
    }

    @Test(arguments: [37, 40, 41, 0, 7, 19, 54, 4096, 0xffff_ffff] as [UInt32])
    func whatIsNotOfferedIsENOSYS(_ opcode: UInt32) {
        let (harness, fileSystem) = started()
        let reply = harness.send(message(opcode, zeros(40)))
        #expect(reply.error == -38)
        #expect(reply.header.unique == 42)
        #expect(fileSystem.calls == [])
        #expect(harness.server.refusals[.unknownOpcode] == 1)
    }

    // ---- the parts of single operations ----

    @Test func manyAreForgottenAtOnce() {
        let (harness, fileSystem) = started()
        let entries = (1...300).flatMap { u64($0) + u64($0 * 2) }
        #expect(harness.send(message(42, u32(300) + u32(0) + entries)).outcome == .noReply)
        #expect(fileSystem.calls.count == 300)
        #expect(fileSystem.calls.last == "forget #300 600")
    }

    @Test(arguments: [0, 2, 0x1000_0000, 0xffff_ffff] as [UInt32])
    func aForgetCountThatLiesForgetsNothing(_ count: UInt32) {
        let (harness, fileSystem) = started()
        #expect(harness.send(message(42, u32(count) + u32(0) + u64(1) + u64(1))).outcome == .noReply)
        #expect(fileSystem.calls == [])
        #expect(harness.server.refusals[.badSize] == 1)
    }

    @Test func setxattrIsShorterWithoutItsExtension() {
        let fileSystem = RecordingFS()
        let harness = Harness(fileSystem)
        harness.start(flags: 0x7fff_fffb & ~(1 << 29))
        fileSystem.forgetCalls()
        let reply = harness.send(message(21, nodeID: 5, u32(2) + u32(1) + name("user.a") + [7, 8]))
        #expect(reply.error == 0)
        #expect(fileSystem.calls == ["setxattr #5 user.a [7, 8] 1 0"])
    }

    @Test func aWaitingLockIsDeferred() {
        let (harness, fileSystem) = started()
        fileSystem.completion = .deferred
        #expect(harness.send(message(33, ValidRequest.lockBody)).outcome == .deferred)
        #expect(harness.send(message(32, ValidRequest.lockBody)).outcome == .deferred)
    }

    @Test func writeSeesItsDataAndNothingElse() {
        let (harness, fileSystem) = started()
        let data = (0..<10000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        fileSystem.count = 10000
        let body = u64(7) + u64(0) + u32(10000) + u32(0) + u64(0) + u32(0) + u32(0)
        let reply = harness.send(message(16, body + data))
        #expect(reply.body == u32(10000) + u32(0))
        #expect(fileSystem.written == data)
    }

    @Test func readIsClampedToTheGuestsPages() {
        let (harness, fileSystem) = started()
        fileSystem.count = 100
        fileSystem.payload = (0..<100).map { UInt8($0) }
        let body = u64(7) + u64(0) + u32(0xffff_ffff) + u32(0) + u64(0) + u32(0) + u32(0)
        let reply = harness.send(message(15, body), capacity: 16 + 100)
        #expect(fileSystem.calls == ["read #1 7 0 100 0 0 0 room 100"])
        #expect(reply.direct == fileSystem.payload)
        #expect(reply.header.length == 116)
    }

    @Test func pagesAreClampedToTheReadSize() {
        let (harness, fileSystem) = started()
        let body = u64(7) + u64(0) + u32(5000) + u32(0) + u64(0) + u32(0) + u32(0)
        harness.send(message(15, body), capacity: 16 + 20000)
        #expect(fileSystem.calls == ["read #1 7 0 5000 0 0 0 room 5000"])
        #expect(fileSystem.readRoom == 5000, "the entries themselves are shortened")
    }

    @Test func aCountBeyondTheRequestIsEIO() {
        let (harness, fileSystem) = started()
        fileSystem.count = 513
        #expect(harness.send(ValidRequest.read.bytes).error == -5)
        fileSystem.count = -1
        #expect(harness.send(ValidRequest.read.bytes).error == -5)
        fileSystem.count = 6
        for valid in ValidRequest.files where valid.label == "WRITE" {
            #expect(harness.send(valid.bytes).error == -5)
        }
        fileSystem.count = 301
        for valid in ValidRequest.files where valid.label.hasPrefix("COPY") {
            #expect(harness.send(valid.bytes).error == -5)
        }
    }

    @Test func directoriesAreClampedToTheReply() {
        let (harness, fileSystem) = started()
        harness.send(message(28, ValidRequest.readBody), capacity: 16 + 100)
        harness.send(message(44, ValidRequest.readBody), capacity: 16)
        #expect(
            fileSystem.calls == [
                "readdir #1 7 4096 100 room 100", "readdirplus #1 7 4096 0 room 0",
            ])
        fileSystem.forgetCalls()
        let huge = u64(7) + u64(0) + u32(0xffff_ffff) + u32(0) + u64(0) + u32(0) + u32(0)
        harness.send(message(28, huge), capacity: .max)
        let room = FuseServer.replyScratchByteCount - 16
        #expect(fileSystem.calls == ["readdir #1 7 0 \(room) room \(room)"])
    }

    @Test func xattrsAreClampedToTheReplyAndToTheirLimit() {
        let (harness, fileSystem) = started()
        harness.send(message(22, u32(100) + u32(0) + name("user.a")), capacity: 16 + 10)
        harness.send(message(23, u32(0xffff_ffff) + u32(0)), capacity: 1 << 20)
        #expect(
            fileSystem.calls == [
                "getxattr #1 user.a 10 sizeOnly false", "listxattr #1 65536 sizeOnly false",
            ])
        #expect(
            harness.send(message(22, u32(2) + u32(0) + name("user.a"))).error == -34,
            "3 bytes do not fit in 2")
    }

    @Test func theOlderCopyCountsIn32Bits() {
        let (harness, fileSystem) = started()
        let body = u64(7) + u64(0) + u64(6) + u64(8) + u64(0) + u64(.max) + u64(0)
        harness.send(message(47, body))
        harness.send(message(53, body))
        #expect(
            fileSystem.calls == [
                "copy #1 7 0 -> #6 8 0 \(0x7fff_f000) 0", "copy #1 7 0 -> #6 8 0 \(UInt64.max) 0",
            ])
    }

    @Test func anIoctlWithoutBounds() {
        let (harness, fileSystem) = started()
        let unrestricted = u64(7) + u32(2) + u32(1) + u64(0) + u32(0) + u32(8)
        #expect(harness.send(message(39, unrestricted)).error == -25)
        let huge = u64(7) + u32(0) + u32(1) + u64(0) + u32(0) + u32(0xffff_ffff)
        #expect(harness.send(message(39, huge)).error == -22)
        #expect(harness.server.refusals[.shortReplyRoom] == 1)
        let liar = u64(7) + u32(0) + u32(1) + u64(0) + u32(0xffff_ffff) + u32(8)
        #expect(harness.send(message(39, liar)).error == -22)
        #expect(harness.server.refusals[.badSize] == 1)
        #expect(fileSystem.calls == [])
    }

    @Test func errorNumbersStayInTheProtocolsRange() {
        #expect(FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: nil).error == 0)
        #expect(FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: .EINTR).error == -4)
        #expect(
            FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: Errno(rawValue: 511)).error == -511)
        #expect(FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: Errno(rawValue: 512)).error == -5)
        #expect(FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: Errno(rawValue: .min)).error == -5)
        let header = FuseServer.headerOnlyReply(to: Unique(rawValue: 8), error: .EINTR)
        #expect(raw(header) == u32(16) + u32(UInt32(bitPattern: -4)) + u64(8))
    }
}
