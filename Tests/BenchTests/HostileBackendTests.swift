// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

@testable import Bench

/// A back-end that breaks a rule ends the run with one line that says which; nothing hangs or traps.
@Suite struct HostileBackendTests {
    private static let few = WindowOptions(warmUp: 0, duration: 0, minimumOperations: 3)

    /// Runs a test against a back-end that does something to requests of one kind.
    private func failure(
        _ script: Script, _ opcode: Opcode, patience: Int32 = 20_000,
        _ react: @escaping @Sendable (SeenRequest) -> Reaction
    ) throws -> BenchFailure? {
        let backend = try ScriptedBackend { $0.opcode == opcode ? react($0) : nil }
        var options = SessionOptions()
        options.lanes = 2
        options.patience = patience
        let session = try BenchSession(socketPath: backend.socketPath, options)
        do throws(BenchFailure) {
            _ = try session.measure(script, depth: 2, Self.few)
            return nil
        } catch {
            return error
        }
    }

    private func script(_ name: String) throws -> Script {
        try #require(Catalogue.select([name]).scripts.first)
    }

    private func good(_ request: SeenRequest, error: Int32 = 0, unique: UInt64? = nil, length: UInt32 = 120)
        -> [UInt8]
    {
        var header = OutHeader()
        header.length = length
        header.error = error
        header.unique = unique ?? request.header.unique
        return wireBytes(of: header) + [UInt8](repeating: 0, count: 104)
    }

    @Test func anAgreeableOneIsMeasured() throws {
        #expect(try failure(script("getattr"), .getattr) { ScriptedBackend.agree($0) } == nil)
    }

    @Test func anErrorIsNamed() throws {
        let error = try failure(script("getattr"), .getattr) { _ in .error(EIO) }
        #expect(error == .failed("test getattr: GETATTR: Input/output error (error 5)"))
    }

    @Test func anErrorBeforeTheTestIsNamed() throws {
        let error = try failure(script("getattr"), .create) { _ in .error(EROFS) }
        #expect(error == .failed("test getattr: CREATE: Read-only file system (error 30)"))
    }

    @Test(arguments: [ENOSYS, EOPNOTSUPP]) func whatIsNotOfferedIsToldApart(code: Int32) throws {
        let error = try failure(script("xattr"), .setxattr) { _ in .error(code) }
        #expect(error == .unsupported("SETXATTR"))
    }

    @Test func malformedReplies() throws {
        let getattr = try script("getattr")
        func expect(_ what: String, _ react: @escaping @Sendable (SeenRequest) -> Reaction) throws {
            let error = try failure(getattr, .getattr, react)
            #expect(
                error == .failed("test getattr: GETATTR: the daemon gave \(what) (Protocol error (error 71))")
            )
        }
        try expect("a reply of 8 bytes") { .raw(Array(good($0).prefix(8)), written: 8) }
        try expect("a reply of 0 bytes") { _ in .raw([], written: 0) }
        try expect("a reply of 120 bytes that says it has 119") {
            .raw(good($0, length: 119), written: 120)
        }
        try expect("a reply to another request") {
            .raw(good($0, unique: $0.header.unique + 2), written: 120)
        }
        try expect("an error reply that is none (5, 16 bytes)") {
            .raw(good($0, error: 5, length: 16), written: 16)
        }
        try expect("an error reply that is none (-4000, 16 bytes)") {
            .raw(good($0, error: -4000, length: 16), written: 16)
        }
        try expect("an error reply that is none (-5, 120 bytes)") {
            .raw(good($0, error: -5), written: 120)
        }
        try expect("a body of 100 bytes, not of 104") { .raw(good($0, length: 116), written: 116) }
    }

    @Test(arguments: [0, 1] as [UInt64]) func nodesThatCannotBe(node: UInt64) throws {
        let error = try failure(script("lookup"), .lookup) { _ in
            .answer(wireBytes(of: ScriptedBackend.entry(node)))
        }
        #expect(
            error
                == .failed(
                    "test lookup: LOOKUP: the daemon gave an entry with nodeid \(node) (Protocol error (error 71))"
                ))
    }

    @Test func anEntryForAMissingName() throws {
        let error = try failure(script("lookup-miss"), .lookup) { _ in
            .answer(wireBytes(of: ScriptedBackend.entry(9)))
        }
        #expect("\(try #require(error))".contains("an entry for a name that is not there"))
        // A negative entry, and ENOENT, are both good.
        #expect(
            try failure(script("lookup-miss"), .lookup) { _ in
                .answer(wireBytes(of: ScriptedBackend.entry(0)))
            } == nil)
        #expect(try failure(script("lookup-miss"), .lookup) { _ in .error(ENOENT) } == nil)
    }

    @Test func wrongContents() throws {
        let short = try failure(script("write-4k"), .write) { request in
            var reply = WriteOut()
            reply.size = (request.argument(WriteIn.self)?.size ?? 0) - 1
            return .answer(wireBytes(of: reply))
        }
        #expect(
            "\(try #require(short))".contains("WRITE: the daemon gave 1048575 bytes as written of 1048576"))
        let target = try failure(script("symlink"), .readlink) { _ in .answer([1, 2, 3]) }
        #expect("\(try #require(target))".contains("READLINK: the daemon gave a target of 3 bytes"))
        let value = try failure(script("xattr"), .getxattr) { _ in .answer([UInt8](repeating: 1, count: 32)) }
        #expect("\(try #require(value))".contains("GETXATTR: the daemon gave another value"))
        let data = try failure(script("read-4k"), .read) { _ in
            .answer([UInt8](repeating: 0, count: 4095))
        }
        #expect("\(try #require(data))".contains("READ: the daemon gave a body of 4095 bytes, not of 4096"))
    }

    @Test func brokenRings() throws {
        let getattr = try script("getattr")
        func expect(_ fault: String, _ react: @escaping @Sendable (SeenRequest) -> Reaction) throws {
            let error = try failure(getattr, .getattr, react)
            #expect(
                error
                    == .failed(
                        "test getattr: GETATTR: the daemon broke the ring of queue 1, \(fault) (Protocol error (error 71))"
                    ))
        }
        try expect("unknownUsedElement") { _ in .unknownChain }
        try expect("usedLengthTooLong") { _ in .raw([], written: 121) }
    }

    @Test func oneThatAnswersTwice() throws {
        // Which rule it breaks depends on whether the second answer still finds a chain: the same is not there any more.
        let error = try #require(try failure(script("getattr"), .getattr) { _ in .twice })
        #expect("\(error)".contains("GETATTR: the daemon "))
    }

    @Test func oneThatFallsSilent() throws {
        let error = try failure(script("getattr"), .getattr, patience: 1000) { _ in .silence }
        #expect(
            error == .failed("test getattr: GETATTR: no answer in 1 s (Connection timed out (error 110))"))
    }

    @Test func oneThatGivesUpItsQueue() throws {
        let error = try failure(script("getattr"), .getattr) { _ in .giveUp }
        #expect(
            error
                == .failed(
                    "test getattr: GETATTR: the daemon gave up queue 1 (Connection reset by peer (error 104))"
                ))
    }

    @Test func oneThatDies() throws {
        let error = try failure(script("getattr"), .getattr) { _ in .die }
        #expect(
            error
                == .failed(
                    "test getattr: GETATTR: the daemon has ended the connection (Connection reset by peer (error 104))"
                ))
    }

    @Test func oneThatTalksUnasked() throws {
        let error = try failure(script("getattr"), .getattr) { _ in .chatter }
        #expect("\(try #require(error))".contains("GETATTR: the daemon has "))
    }

    // MARK: Directories

    private func record(_ name: [UInt8], node: UInt64 = 9, nameLength: UInt32? = nil) -> [UInt8] {
        var dirent = Dirent()
        dirent.nameLength = nameLength ?? UInt32(name.count)
        dirent.offset = 1
        let padding = [UInt8](repeating: 0, count: (8 - name.count % 8) % 8)
        return wireBytes(of: ScriptedBackend.entry(node)) + wireBytes(of: dirent) + name + padding
    }

    @Test func listingsThatLie() throws {
        let listing = Catalogue.readdirplus(entries: 2)
        func expect(_ what: String, _ body: [UInt8]) throws {
            let error = try failure(listing, .readdirplus) { _ in .answer(body) }
            #expect(
                error
                    == .failed(
                        "test readdirplus: READDIRPLUS: the daemon gave \(what) (Protocol error (error 71))"))
        }
        try expect("malformed entries", [1, 2, 3])
        try expect("malformed entries", record([]))
        try expect("malformed entries", record(Array("a/b".utf8)))
        try expect("malformed entries", record(Array("a".utf8), nameLength: 1025))
        try expect("malformed entries", record(Array("a".utf8), nameLength: .max))
        try expect("malformed entries", Array(record(Array("abc".utf8)).dropLast()))
        try expect("an entry without a node", record(Array("a".utf8), node: 0))
        // One that never ends.
        try expect("more entries than the directory has", record(Array("a".utf8)))
        try expect("fewer entries than the directory has", [])
    }

    // MARK: Before the tests

    @Test func noConnection() throws {
        #expect(throws: BenchFailure.failed("the connection: No such file or directory (error 2)")) {
            try BenchSession(socketPath: "/nonexistent/socket", SessionOptions())
        }
    }

    @Test func aShareThatCannotBeChanged() throws {
        let backend = try ScriptedBackend { $0.opcode == .mkdir ? .error(EROFS) : nil }
        let error = #expect(throws: BenchFailure.self) {
            try BenchSession(socketPath: backend.socketPath, SessionOptions())
        }
        #expect(try #require(error).description.hasSuffix("in the share: Read-only file system (error 30)"))
    }

    @Test func oneThatRefusesInit() throws {
        let backend = try ScriptedBackend { $0.opcode == .initialize ? .error(EPROTO) : nil }
        #expect(throws: BenchFailure.failed("INIT: Protocol error (error 71)")) {
            try BenchSession(socketPath: backend.socketPath, SessionOptions())
        }
    }

    @Test func oneWithSmallRequests() throws {
        let backend = try ScriptedBackend { request in
            guard request.opcode == .initialize, case .answer(let body) = ScriptedBackend.agree(request),
                var reply = wireValue(InitOut.self, from: body)
            else { return nil }
            reply.maxWrite = 128 << 10
            reply.flags = 0
            return .answer(wireBytes(of: reply))
        }
        var options = SessionOptions()
        options.lanes = 1
        let session = try BenchSession(socketPath: backend.socketPath, options)
        #expect(throws: BenchFailure.unsupported("requests of 1048576 bytes")) {
            try session.measure(try script("read-1m"), depth: 1, Self.few)
        }
        #expect(throws: BenchFailure.unsupported("READDIRPLUS")) {
            try session.measure(Catalogue.readdirplus(entries: 1), depth: 1, Self.few)
        }
        // It is still good for other tests.
        #expect(try session.measure(try script("statfs"), depth: 1, Self.few).operations >= 3)
    }

    @Test func aSignalEndsTheRun() throws {
        let backend = try ScriptedBackend()
        let stop = try EventFD()
        var options = SessionOptions()
        (options.lanes, options.stopDescriptor) = (2, stop.descriptor.rawValue)
        let session = try BenchSession(socketPath: backend.socketPath, options)
        stop.signal()
        #expect(throws: BenchFailure.stopped) {
            try session.measure(
                try script("getattr"), depth: 2, WindowOptions(seconds: 3600, depth: 2))
        }
        // What is left to do can be done.
        try session.removeTree()
        #expect(backend.requests.last?.opcode == .rmdir)
    }
}
