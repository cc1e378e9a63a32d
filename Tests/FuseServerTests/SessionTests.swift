// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Testing

@Suite struct SessionTests {
    let fileSystem = RecordingFS()
    let harness: Harness

    init() { harness = Harness(fileSystem) }

    func initialize(_ body: [UInt8], capacity: Int = 80) -> Reply {
        harness.send(message(26, nodeID: 0, body, unique: 2), capacity: capacity)
    }

    /// Golden: the INIT of Linux 7.2, with a file system that wants all it can get.
    @Test func theWholeReply() {
        let reply = initialize(initBody())
        let flags: UInt32 =
            0x7fff_fffb  // all that Linux offers, but
            & ~(1 << 7 | 1 << 8 | 1 << 9)  // SPLICE_*
            & ~(1 << 17 | 1 << 24)  // NO_OPEN_SUPPORT, NO_OPENDIR_SUPPORT
            & ~(1 << 21)  // ABORT_ERROR
        // SECURITY_CTX HAS_INODE_DAX CREATE_SUPP_GROUP DIRECT_IO_ALLOW_MMAP NO_EXPORT_SUPPORT ALLOW_IDMAP
        let flags2: UInt32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8
        #expect(
            reply.body == u32(7)  // major
                + u32(45)  // minor
                + u32(131072)  // max_readahead
                + u32(flags)
                + u16(1024)  // max_background
                + u16(768)  // congestion_threshold
                + u32(1020 * 4096)  // max_write
                + u32(1)  // time_gran
                + u16(1020)  // max_pages
                + u16(0)  // map_alignment
                + u32(flags2)
                + u32(0)  // max_stack_depth
                + u16(0)  // request_timeout
                + zeros(22))
        #expect(reply.header.unique == 2)
        #expect(reply.header.length == 80)
        #expect(harness.session.isRunning)
        #expect(harness.session.minor == 45)
        #expect(harness.session.maxWrite == 1020 * 4096)
        #expect(harness.session.flags == UInt64(flags) | UInt64(flags2) << 32)
    }

    @Test(arguments: 27...46 as ClosedRange<UInt32>)
    func everyMinorThatIsServed(_ minor: UInt32) {
        let reply = initialize(
            initBody(minor: minor, flags: minor < 36 ? 0x3fff_fffb : 0x7fff_fffb, count: minor < 36 ? 16 : 64)
        )
        #expect(reply.error == 0)
        #expect(reply.body.count == 64)
        #expect(reply.body.load(UInt32.self, at: 4) == 45)
        #expect(harness.session.minor == min(minor, 45))
        #expect(fileSystem.offer?.minor == minor)
        #expect(fileSystem.offer?.maxReadahead == 131072)
        #expect(fileSystem.offer?.flags == (minor < 36 ? 0x3fff_fffb : 0x7ff_7fff_fffb))
        #expect(harness.send(message(1, name("a"))).error == 0)
    }

    @Test(arguments: [(7, 26), (7, 0), (6, 45), (0, 0)] as [(UInt32, UInt32)])
    func whatIsTooOld(major: UInt32, minor: UInt32) {
        let reply = initialize(initBody(major: major, minor: minor))
        #expect(reply.error == -71)
        #expect(harness.server.refusals[.badVersion] == 1)
        #expect(fileSystem.calls == [])
        #expect(!harness.session.isRunning)
    }

    /// A guest of FUSE 8 is told 7, and asks again.
    @Test func whatIsTooNew() {
        let reply = initialize(initBody(major: 8, minor: 0))
        #expect(reply.body == u32(7) + u32(45) + zeros(56))
        #expect(fileSystem.calls == [])
        #expect(!harness.session.isRunning)
        #expect(harness.send(message(1, name("a"))).error == -5)
        #expect(initialize(initBody()).error == 0)
        #expect(harness.session.isRunning)
    }

    @Test func onlyWhatWasOfferedIsGranted() {
        for bit in 0..<63 where bit != 30 && bit != 31 {
            let offer: UInt64 = 1 << UInt64(bit)
            let low = UInt32(truncatingIfNeeded: offer) | (bit >= 32 ? 1 << 30 : 0)
            let reply = initialize(initBody(flags: low, flags2: UInt32(offer >> 32)))
            let granted =
                UInt64(reply.body.load(UInt32.self, at: 12)) | UInt64(reply.body.load(UInt32.self, at: 32))
                << 32
            #expect(granted & ~(offer | InitFlags.initExtended) == 0, "bit \(bit)")
            #expect(granted == harness.session.flags)
        }
    }

    @Test func onlyWhatIsWantedIsGranted() {
        fileSystem.wantedFlags = InitFlags.posixACL | InitFlags.allowIdmap | InitFlags.passthrough
        _ = initialize(initBody())
        let own: UInt64 = 1 << 0 | 1 << 5 | 1 << 11 | 1 << 15 | 1 << 18 | 1 << 22 | 1 << 30
        #expect(harness.session.flags == own | 1 << 20 | 1 << 40)
    }

    @Test func highFlagsNeedInitExtended() {
        let reply = initialize(initBody(flags: 0x3fff_fffb))
        #expect(reply.body.load(UInt32.self, at: 32) == 0)
        #expect(harness.session.flags >> 32 == 0)
    }

    @Test func maxPagesIsOnlySaidToWhoKnowsIt() {
        #expect(initialize(initBody(flags: 1)).body.load(UInt16.self, at: 28) == 0)
        #expect(initialize(initBody(flags: 1 << 22)).body.load(UInt16.self, at: 28) == 1020)
    }

    @Test func theSizeOfTheRequest() {
        for count in 0..<16 {
            #expect(initialize(initBody(count: count)).error == -22)
        }
        #expect(harness.server.refusals[.shortBody] == 16)
        #expect(fileSystem.calls == [])
        #expect(initialize(initBody(flags: 1, count: 16)).error == 0)
        #expect(initialize(initBody() + zeros(64)).error == 0, "a later version may say more")
    }

    @Test func noRoomForTheReplyIsNoSession() {
        #expect(initialize(initBody(), capacity: 79).error == -22)
        #expect(fileSystem.calls == [])
        #expect(!harness.session.isRunning)
    }

    @Test func aFileSystemThatFails() {
        fileSystem.error = .ENOMEM
        #expect(initialize(initBody()).error == -12)
        #expect(!harness.session.isRunning)
        fileSystem.error = nil
        #expect(initialize(initBody()).error == 0)
    }

    @Test func destroyIsAnsweredAndEndsTheSession() {
        harness.start()
        let reply = harness.send(message(38), capacity: 16)
        #expect(reply.outcome == .reply(scratchByteCount: 16, directByteCount: 0))
        #expect(reply.error == 0)
        #expect(fileSystem.calls == ["initialize", "destroy"])
        #expect(harness.send(message(1, name("a"))).error == -5)
        #expect(harness.send(message(38)).error == -5)
        #expect(harness.start().error == 0)
        #expect(harness.send(message(1, name("a"))).error == 0)
    }

    @Test func aSecondInitStartsAgain() {
        harness.start()
        fileSystem.wantedFlags = 0
        harness.start()
        #expect(fileSystem.calls == ["initialize", "initialize"])
        #expect(harness.session.flags & InitFlags.posixACL == 0)
    }

    /// Another worker's INIT comes while the file system of this one still works on its own.
    @Test func onlyOneChangesTheSessionAtATime() {
        let other = Harness(NullFS(), sharing: harness.session)
        var nested: Reply?
        fileSystem.whileInitializing = { nested = other.send(message(26, initBody())) }
        #expect(harness.start().error == 0)
        #expect(nested?.error == -5)
        #expect(other.server.refusals[.noSession] == 1)
        #expect(harness.session.isRunning)
    }

    /// The record outlives the object, as it outlives a process.
    @Test func theRecordIsTheSession() {
        let record = UnsafeMutableRawPointer.allocate(byteCount: FuseSession.byteCount, alignment: 8)
        defer { record.deallocate() }
        record.initializeMemory(as: UInt8.self, repeating: 0, count: FuseSession.byteCount)
        #expect(!FuseSession(record: record).isRunning)
        Harness(fileSystem, sharing: FuseSession(record: record)).start()
        let heir = FuseSession(record: record)
        #expect(heir.isRunning)
        #expect(heir.minor == 45)
        #expect(Harness(fileSystem, sharing: heir).send(message(1, name("a"))).error == 0)
        heir.stop()
        #expect(!FuseSession(record: record).isRunning)
    }
}
