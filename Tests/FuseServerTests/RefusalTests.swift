// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Testing

/// Whatever is malformed is refused before the file system sees it, and the next request works.
@Suite struct RefusalTests {
    let fileSystem = RecordingFS()
    let harness: Harness

    init() {
        harness = Harness(fileSystem)
        harness.start()
        fileSystem.forgetCalls()
    }

    /// Sends `bytes`, which must be refused with `errno` for `kind`, and then a LOOKUP, which must work.
    func refused(
        _ bytes: [UInt8], _ errno: Errno, _ kind: WireError, capacity: Int = 16 + 4096, unique: UInt64 = 42,
        _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let before = (harness.server.refusals[kind], harness.server.refusals.total)
        let reply = harness.send(bytes, capacity: capacity)
        #expect(
            reply.outcome == .reply(scratchByteCount: 16, directByteCount: 0), comment,
            sourceLocation: sourceLocation)
        #expect(reply.header.length == 16, comment, sourceLocation: sourceLocation)
        #expect(reply.error == -errno.rawValue, comment, sourceLocation: sourceLocation)
        #expect(reply.header.unique == unique, comment, sourceLocation: sourceLocation)
        #expect(fileSystem.calls == [], comment, sourceLocation: sourceLocation)
        #expect(harness.server.refusals[kind] == before.0 + 1, comment, sourceLocation: sourceLocation)
        #expect(harness.server.refusals.total == before.1 + 1, comment, sourceLocation: sourceLocation)
        #expect(harness.send(message(1, name("next"))).error == 0, comment, sourceLocation: sourceLocation)
        #expect(fileSystem.calls == ["lookup #1 next"], comment, sourceLocation: sourceLocation)
        fileSystem.forgetCalls()
    }

    // ---- the frame ----

    @Test func aHeaderThatIsCut() {
        let whole = message(1, name("a"))
        for length in 0..<40 {
            let unique: UInt64 = length > 8 ? 42 : 0  // 42 is in its lowest byte
            refused(Array(whole.prefix(length)), .EINVAL, .shortHeader, unique: unique, "\(length) bytes")
        }
    }

    @Test(arguments: [0, 39, 40, 41, 43, 4096, 0xffff_ffff] as [UInt32])
    func aLengthThatLies(_ length: UInt32) {
        refused(message(1, name("a"), length: length), .EINVAL, .lengthMismatch)
    }

    @Test func aRequestThatIsTooLong() {
        let longest = FuseServer.maximumInlineByteCount
        refused(message(6, zeros(longest - 40)), .EINVAL, .badName, "as long as it may be")
        refused(message(6, zeros(longest - 39)), .E2BIG, .oversize)
        refused(message(26, zeros(2 << 20)), .E2BIG, .oversize)
    }

    @Test func howMuchOfARequestIsCopied() {
        func count(_ bytes: [UInt8], of total: Int) -> Int {
            bytes.withUnsafeBytes { FuseServer.inlineByteCount(prefix: $0, totalByteCount: total) }
        }
        let lookup = Array(message(1, zeros(40)).prefix(80))
        let write = Array(message(16, zeros(40)).prefix(80))
        #expect(count(lookup, of: 80) == 80)
        #expect(count(lookup, of: 5000) == 5000)
        #expect(count(lookup, of: FuseServer.maximumInlineByteCount) == FuseServer.maximumInlineByteCount)
        #expect(count(lookup, of: FuseServer.maximumInlineByteCount + 1) == 80)
        #expect(count(write, of: 1 << 20) == 80)
        #expect(count(write, of: 80) == 80)
        #expect(count(Array(write.prefix(60)), of: 60) == 60)
        #expect(count([1, 2, 3], of: 3) == 3)
        #expect(count([], of: 0) == 0)
    }

    /// One byte too few, at every place, of one request of each kind.
    @Test(arguments: ValidRequest.all)
    func everyTruncation(_ valid: ValidRequest) {
        for length in 40..<valid.bytes.count {
            // The chain is cut, and the header says so: only the arguments are short.
            let cut = u32(UInt32(length)) + valid.bytes[4..<length]
            let reply = harness.send(cut)
            #expect(fileSystem.calls == [], "\(length) of \(valid.bytes.count)")
            if valid.reply == nil {
                #expect(reply.outcome == .noReply)
            } else {
                #expect(reply.error == -22, "\(length) of \(valid.bytes.count)")
                #expect(reply.header.unique == 42)
            }
        }
        #expect(Int(harness.server.refusals.total) == valid.bytes.count - 40)
        harness.send(valid.bytes)
        #expect(fileSystem.calls == [valid.call])
    }

    @Test(arguments: ValidRequest.all)
    func aByteTooMany(_ valid: ValidRequest) {
        let long = u32(UInt32(valid.bytes.count + 1)) + valid.bytes[4...] + [0]
        let reply = harness.send(long)
        #expect(fileSystem.calls == [])
        #expect(harness.server.refusals.total == 1)
        #expect(valid.reply == nil ? reply.outcome == .noReply : reply.error == -22)
    }

    /// Nothing is done whose reply could not be given.
    @Test(arguments: ValidRequest.all.filter(\.fixedReply))
    func noRoomForTheReply(_ valid: ValidRequest) {
        let needed = 16 + (valid.reply?.count ?? 0)
        for capacity in [16, 17, needed - 1] {
            refused(valid.bytes, .EINVAL, .shortReplyRoom, capacity: capacity, "\(capacity) of \(needed)")
        }
        #expect(harness.send(valid.bytes, capacity: needed).error == 0)
        #expect(fileSystem.calls == [valid.call])
    }

    @Test(arguments: ValidRequest.all)
    func noRoomForTheHeader(_ valid: ValidRequest) {
        for capacity in [0, 1, 15] {
            #expect(harness.send(valid.bytes, capacity: capacity).outcome == .noReply)
        }
        if valid.reply == nil {
            #expect(fileSystem.calls.count == 3)
        } else {
            #expect(fileSystem.calls == [])
            #expect(harness.server.refusals[.noReplyRoom] == 3)
        }
    }

    @Test(arguments: ValidRequest.all)
    func beforeTheSession(_ valid: ValidRequest) {
        let fileSystem = RecordingFS()
        let harness = Harness(fileSystem)
        let reply = harness.send(valid.bytes)
        #expect(fileSystem.calls == [])
        #expect(valid.reply == nil ? reply.outcome == .noReply : reply.error == -5)
        #expect(harness.server.refusals[.noSession] == 1)
        harness.start()
        #expect(fileSystem.calls == ["initialize"])
    }

    // ---- names ----

    /// Requests with a bad name in each place that has one; `good` is in the others.
    static func withName(_ bad: [UInt8]) -> [(String, [UInt8])] {
        let good = name("good")
        return [
            ("LOOKUP", message(1, bad)),
            ("SYMLINK", message(6, bad + good)),
            ("MKNOD", message(8, zeros(16) + bad)),
            ("MKDIR", message(9, zeros(8) + bad)),
            ("UNLINK", message(10, bad)),
            ("RMDIR", message(11, bad)),
            ("RENAME old", message(12, u64(1) + bad + good)),
            ("RENAME new", message(12, u64(1) + good + bad)),
            ("LINK", message(13, u64(2) + bad)),
            ("CREATE", message(35, zeros(16) + bad)),
            ("RENAME2 old", message(45, u64(1) + u64(0) + bad + good)),
            ("RENAME2 new", message(45, u64(1) + u64(0) + good + bad)),
        ]
    }

    @Test(arguments: ["", "a/b", "/abs", "../x", "/", "./", "a/"])
    func namesThatAreNone(_ bad: String) {
        for (what, bytes) in Self.withName(name(bad)) { refused(bytes, .EINVAL, .badName, "\(what)") }
    }

    @Test(arguments: [".", ".."])
    func dots(_ bad: String) {
        for (what, bytes) in Self.withName(name(bad)) where what != "LOOKUP" {
            refused(bytes, .EINVAL, .badName, "\(what)")
        }
    }

    /// Without EXPORT_SUPPORT nobody may ask for them.
    @Test(arguments: [".", ".."])
    func lookupOfDotsUnasked(_ bad: String) {
        harness.start(flags: 0x7fff_fffb & ~(1 << 4))
        fileSystem.forgetCalls()
        refused(message(1, name(bad)), .EINVAL, .badName)
    }

    @Test func namesThatAreTooLong() {
        for count in [256, 257, 5000] {
            for (what, bytes) in Self.withName([UInt8](repeating: 0x61, count: count) + [0]) {
                refused(bytes, .ENAMETOOLONG, .longName, "\(what)")
            }
        }
        refused(message(1, [UInt8](repeating: 0x61, count: 100_000)), .ENAMETOOLONG, .longName)
        let longest = String(repeating: "a", count: 255)
        #expect(harness.send(message(1, name(longest))).error == 0)
        #expect(fileSystem.calls == ["lookup #1 " + longest])
    }

    @Test func namesWithoutEnd() {
        for (what, bytes) in Self.withName(text("end")) where !what.contains("old") && what != "SYMLINK" {
            refused(bytes, .EINVAL, .missingNUL, "\(what)")
        }
        refused(message(6, name("a") + text("target")), .EINVAL, .missingNUL)
        refused(message(51, zeros(16) + text("/")), .EINVAL, .missingNUL)
        refused(message(24, text("user.a")), .EINVAL, .missingNUL)
    }

    @Test func namesWithANULInside() {
        for (what, bytes) in Self.withName(name("a") + name("b")) {
            refused(bytes, .EINVAL, .trailingBytes, "\(what)")
        }
    }

    @Test func aLinksTarget() {
        let longest = [UInt8](repeating: 0x2f, count: 4095)
        #expect(harness.send(message(6, name("a") + longest + [0])).error == 0)
        fileSystem.forgetCalls()
        refused(message(6, name("a") + longest + [0x2f, 0]), .ENAMETOOLONG, .longName)
    }

    // ---- sizes ----

    @Test func writesThatLieAboutTheirSize() {
        func write(_ size: UInt32, _ data: [UInt8]) -> [UInt8] {
            message(16, u64(7) + u64(0) + u32(size) + u32(0) + u64(0) + u64(0) + data)
        }
        refused(write(4, text("12345")), .EINVAL, .badSize)
        refused(write(6, text("12345")), .EINVAL, .badSize)
        refused(write(0xffff_ffff, text("12345")), .EINVAL, .badSize)
        refused(write(1, []), .EINVAL, .badSize)
        let beyond = Int(harness.session.maxWrite) + 1
        refused(write(UInt32(beyond), zeros(beyond)), .EINVAL, .badSize)
        fileSystem.count = 0
        #expect(harness.send(write(0, [])).error == 0)
    }

    @Test func extendedAttributes() {
        func set(_ size: UInt32, _ xattr: [UInt8], _ value: [UInt8]) -> [UInt8] {
            message(21, u32(size) + u32(0) + u64(0) + xattr + value)
        }
        let longest = [UInt8](repeating: 0x61, count: 255)
        for bad in [[0], longest + [0x61, 0]] {
            refused(set(1, bad, [1]), .ERANGE, .badXattrName)
            refused(message(22, u64(10) + bad), .ERANGE, .badXattrName)
            refused(message(24, bad), .ERANGE, .badXattrName)
        }
        refused(set(2, name("user.a"), [1]), .EINVAL, .badSize)
        refused(set(1, name("user.a"), [1, 2]), .EINVAL, .badSize)
        refused(set(65537, name("user.a"), zeros(65537)), .E2BIG, .longXattrValue)
        #expect(harness.send(set(65536, longest + [0], zeros(65536))).error == 0)
        #expect(fileSystem.calls.first?.hasSuffix("65536 bytes 0 0") == true)
    }

    // ---- extensions ----

    static let group = u32(16) + u32(32) + u32(1) + u32(4242)
    static let label =
        u32(40) + u32(1) + u32(4) + u32(0) + name("security.selinux") + text("u:r\0") + zeros(3)

    static let makers: [(String, UInt32, [UInt8])] = [
        ("SYMLINK", 6, name("a") + name("b")), ("MKNOD", 8, zeros(16) + name("a")),
        ("MKDIR", 9, zeros(8) + name("a")),
        ("CREATE", 35, zeros(16) + name("a")), ("TMPFILE", 51, zeros(16) + name("/")),
    ]

    @Test func theCallerHasALabelAndAGroup() {
        for (what, opcode, body) in Self.makers {
            harness.send(message(opcode, body, extensions: Self.label + Self.group))
            let caller = fileSystem.callers.last
            #expect(caller?.supplementaryGroup == 4242, "\(what)")
            #expect(caller?.label?.name.byteCount == 16, "\(what)")
            #expect(caller?.label?.value.count == 4, "\(what)")
        }
        #expect(fileSystem.calls.count == 5)
        #expect(harness.server.refusals.total == 0)
    }

    @Test func extensionsThatAreMalformed() {
        for (what, opcode, body) in Self.makers {
            refused(message(opcode, body, extensions: u32(12) + u32(32)), .EINVAL, .badExtension, "\(what)")
            refused(message(opcode, body, extensionUnits: 1000), .EINVAL, .badExtension, "\(what): beyond")
            refused(
                message(opcode, body, extensionUnits: 0xffff), .EINVAL, .badExtension, "\(what): far beyond")
            refused(
                message(opcode, body, extensions: Self.group, extensionUnits: 0), .EINVAL, .trailingBytes,
                "\(what): unannounced")
        }
    }

    @Test func extensionsWhereNoneMayBe() {
        for valid in ValidRequest.all where Opcode(rawValue: valid.opcode)?.mayHaveExtensions == false {
            let body = Array(valid.bytes.dropFirst(40))
            let reply = harness.send(message(valid.opcode, body, extensions: Self.group))
            #expect(fileSystem.calls == [], "\(valid)")
            #expect(valid.reply == nil ? reply.outcome == .noReply : reply.error == -22, "\(valid)")
        }
        #expect(harness.server.refusals[.badExtension] == harness.server.refusals.total)
    }

    @Test func extensionsThatWereNotAgreedOn() {
        harness.start(flags2: 0x7ff & ~(1 << 2))  // without CREATE_SUPP_GROUP
        fileSystem.forgetCalls()
        refused(message(9, zeros(8) + name("a"), extensions: Self.group), .EINVAL, .badExtension)
        harness.start(flags2: 0x7ff & ~1)  // without SECURITY_CTX
        fileSystem.forgetCalls()
        refused(message(9, zeros(8) + name("a"), extensions: Self.label), .EINVAL, .badExtension)
        #expect(harness.send(message(9, zeros(8) + name("a"), extensions: Self.group)).error == 0)
    }

    @Test func everyKindHasAnErrnoAndACounter() {
        var counters = RefusalCounters()
        for kind in WireError.allCases {
            #expect(kind.errno.rawValue > 0)
            #expect(counters[kind] == 0)
        }
        #expect(counters.total == 0)
        counters = harness.server.refusals
        #expect(counters.total == 0)
    }
}
