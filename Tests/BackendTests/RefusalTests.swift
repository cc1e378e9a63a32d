// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

/// T6, T9 and forged numbers: each malformed request gets its errno, changes nothing, and the next one works.
@Suite struct RefusalTests {
    /// Sends a request as it is, with our ids and a fresh unique; its lengths are set unless `lengths` is false.
    private func send(_ fixture: CatalogueFixture, _ request: FuseRequest, lengths: Bool = true) throws
        -> Int32
    {
        var request = request
        request.header.unique = fixture.guest.makeUnique()
        if lengths { request.setLengths() }
        return try fixture.guest.receive(try fixture.guest.submit(exactly: request)).header.error
    }

    private func expectAlive(_ fixture: CatalogueFixture) throws {
        #expect(try fixture.guest.getattr(.root).attributes.mode & S_IFMT == S_IFDIR)
    }

    @Test func theCatalogueIsComplete() {
        let aside: Set<Opcode> = [
            .forget, .batchForget, .interrupt, .initialize, .destroy,  // in suites of their own
            .bmap, .poll, .notifyReply, .setupMapping, .removeMapping,  // not served
        ]
        let listed = CatalogueEntry.all.map(\.opcode)
        #expect(Set(listed).union(aside) == Set(Opcode.allCases))
        #expect(Set(listed).count == listed.count)
    }

    /// What the other tests here spoil works when it is not spoiled.
    @Test(arguments: CatalogueEntry.all) func theValidRequestWorks(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        #expect(try send(fixture, entry.request(fixture)) == 0)
    }

    @Test func opcodesThatAreNotServed() throws {
        let fixture = try CatalogueFixture()
        for number: UInt32 in [0, 7, 19, 37, 40, 41, 48, 49, 54, 100, 4096, 1 << 26, .max] {
            var request = FuseRequest(.lookup, .root)
            request.header.opcode = number
            request.append(name: "file".utf8)
            request.replyBodyByteCount = 128
            #expect(try send(fixture, request) == -ENOSYS, "\(number)")
        }
        try expectAlive(fixture)
    }

    // MARK: Length

    @Test(arguments: CatalogueEntry.all) func cutShort(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        let whole = entry.request(fixture)
        for length in 0..<whole.arguments.count {
            var request = whole
            request.arguments = Array(whole.arguments.prefix(length))
            let code = try send(fixture, request)
            #expect(code == -EINVAL || code == -ERANGE, "\(length) of \(whole.arguments.count): \(code)")
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    @Test(arguments: CatalogueEntry.all) func aByteTooMany(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        for extra in [1, 8, 5000] {
            var request = entry.request(fixture)
            if request.data.isEmpty {
                request.arguments += [UInt8](repeating: 0, count: extra)
            } else {
                request.data += [UInt8](repeating: 0, count: extra)
            }
            #expect(try send(fixture, request) == -EINVAL)
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    /// The header's length is not what came.
    @Test(arguments: CatalogueEntry.all) func aWrongLength(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        for length in [0, 1, 39, 40, 1 << 20, UInt32.max] {
            var request = entry.request(fixture)
            request.setLengths()
            if request.header.length == length { continue }
            request.header.length = length
            #expect(try send(fixture, request, lengths: false) == -EINVAL, "\(length)")
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    @Test func aHeaderCutShort() throws {
        let fixture = try CatalogueFixture()
        let queue = fixture.guest.frontend.queues[1]
        for length in 0..<40 {
            var header = InHeader()
            (header.length, header.opcode, header.nodeID) = (UInt32(length), Opcode.getattr.rawValue, 1)
            header.unique = 99
            let message = RequestMessage(Array(wireBytes(of: header).prefix(length)), replyByteCount: 120)
            let done = try queue.wait(for: try queue.submit(message), until: .init(milliseconds: 10_000))
            let reply = try #require(wireValue(OutHeader.self, from: done.reply))
            #expect(done.written == 16 && reply.error == -EINVAL, "\(length)")
            #expect(reply.unique == (length > 8 ? 99 : 0))
        }
        try expectAlive(fixture)
    }

    /// No arguments are that long, whatever the opcode.
    @Test(arguments: [Opcode.lookup, .mkdir, .setxattr, .getattr, .batchForget]) func oversize(opcode: Opcode)
        throws
    {
        let fixture = try CatalogueFixture()
        var request = FuseRequest(opcode, .root)
        request.arguments = [UInt8](repeating: 97, count: 1 << 20 + 8000)
        if opcode.isSilent { request.replyBodyByteCount = nil }
        let code = try send(fixture, request)
        if !opcode.isSilent { #expect(code == -E2BIG || code == -EINVAL) }
        try expectAlive(fixture)
    }

    @Test func extensionsThatAreNone() throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        let mkdir = try #require(CatalogueEntry.names.first { $0.opcode == .mkdir }).request(fixture)
        func words(_ numbers: UInt32...) -> [UInt8] { numbers.flatMap { wireBytes(of: $0) } }
        let block = words(16, 32, 1, 5)
        let cases: [(bytes: [UInt8], units: UInt16)] = [
            (block, 1), (block, 3), ([], 1), ([], 0xffff),  // the total is not that of the blocks
            (block + block, 4),  // twice
            // Too short, too long, without its count
            (words(0, 32), 1), (words(24, 32), 1), (words(8, 32), 1),
            (words(16, 33, 1, 5), 2),  // an unknown type
            (words(16, 32, 2, 5), 2), (words(16, 32, .max, 5), 2),  // more groups than there are
            (words(16, 1, .max, 0), 2),  // a label that is longer than its block
        ]
        for (bytes, units) in cases {
            var request = mkdir
            request.arguments += bytes
            request.setLengths()
            request.header.totalExtensionLength = units
            #expect(try send(fixture, request, lengths: false) == -EINVAL)
        }
        // And where none may be.
        var request = try #require(CatalogueEntry.names.first { $0.opcode == .unlink }).request(fixture)
        request.append(supplementaryGroup: 5)
        #expect(try send(fixture, request) == -EINVAL)
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    // MARK: Room for the reply

    /// Without room for a header there is no reply, with too little for the rest an error; either way nothing happens.
    @Test(arguments: CatalogueEntry.all) func tooLittleRoom(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        let queue = fixture.guest.frontend.queues[1]
        var rooms = [0, 1, 15]
        if entry.fixedReply > 0 { rooms += [16, 16 + entry.fixedReply - 1] }
        for room in rooms {
            var request = entry.request(fixture)
            request.header.unique = fixture.guest.makeUnique()
            request.setLengths()
            var message = request.message
            message.replyByteCount = room
            message.replyDataOffset = room
            let done = try queue.wait(for: try queue.submit(message), until: .init(milliseconds: 10_000))
            #expect(done.written == (room < 16 ? 0 : 16), "\(room)")
            if room >= 16 {
                #expect(wireValue(OutHeader.self, from: done.reply)?.error == -EINVAL, "\(room)")
            }
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    // MARK: Names

    static let badNames: [(name: [UInt8], code: Int32)] = [
        ([], EINVAL), (Array(".".utf8), EINVAL), (Array("..".utf8), EINVAL), (Array("a/b".utf8), EINVAL),
        (Array("/abs".utf8), EINVAL), (Array("../x".utf8), EINVAL), (Array("/".utf8), EINVAL),
        (Array("directory/".utf8), EINVAL), (Array("../outside/victim".utf8), EINVAL),
        ([UInt8](repeating: 97, count: 256), ENAMETOOLONG),
        ([UInt8](repeating: 97, count: 5000), ENAMETOOLONG),
        (Array("a\0b".utf8), EINVAL), (Array("file\0".utf8), EINVAL),
    ]

    /// The request with its name number `index` replaced, with a NUL or without.
    private func replaceName(_ request: FuseRequest, _ entry: CatalogueEntry, _ index: Int, _ name: [UInt8])
        -> FuseRequest
    {
        // A name's bytes and those before it, by splitting at the NULs behind the fixed arguments.
        let fixed: Int =
            switch entry.opcode {
            case .mknod, .create, .rename2: 16
            case .mkdir, .link, .rename: 8
            default: 0
            }
        var names = request.arguments[fixed...].split(separator: 0, omittingEmptySubsequences: false)
            .dropLast().map {
                Array($0)
            }
        names[index] = name
        var spoiled = request
        spoiled.arguments = Array(request.arguments.prefix(fixed)) + names.flatMap { $0 + [0] }
        return spoiled
    }

    @Test(arguments: CatalogueEntry.names.filter { $0.names > 0 }) func badNames(entry: CatalogueEntry) throws
    {
        let fixture = try CatalogueFixture()
        let victim = OwnedFile(fixture.host.outside + "/victim")
        _ = victim
        let before = fixture.host.snapshot()
        for index in 0..<entry.names {
            for (name, code) in Self.badNames {
                let request = replaceName(entry.request(fixture), entry, index, name)
                if entry.opcode == .lookup, name == [46] || name == [46, 46],
                    fixture.guest.agreedFlags & InitFlags.exportSupport != 0
                {
                    continue  // see exportNames
                }
                #expect(
                    try send(fixture, request) == -code, "\(String(decoding: name.prefix(20), as: UTF8.self))"
                )
            }
            var unterminated = entry.request(fixture)
            if index == entry.names - 1 {
                unterminated.arguments.removeLast()
                #expect(try send(fixture, unterminated) == -EINVAL)
            }
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    /// "." and ".." of a node are for NFS servers in the guest, and never lead out of the share.
    @Test func exportNames() throws {
        let fixture = try CatalogueFixture()
        let guest = fixture.guest
        guard guest.agreedFlags & InitFlags.exportSupport != 0 else {
            #expect(throws: Errno.EINVAL) { try guest.lookup(.root, ".".utf8) }
            return
        }
        #expect(try guest.lookup(fixture.directory, ".".utf8).node == fixture.directory)
        #expect(try guest.lookup(fixture.directory, "..".utf8).node == .root)
        #expect(try guest.lookup(.root, ".".utf8).node == .root)
        let above = try? guest.lookup(.root, "..".utf8)
        #expect(above == nil || above?.node == .root)
    }

    /// Linux sends "/" with TMPFILE; nobody looks at it.
    @Test func theNameOfATemporaryFileMeansNothing() throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot().map { $0.split(separator: " ")[0] }
        for name in ["../x", "/abs", "a/b", "..", ""] {
            let request = FuseClient.createRequest(
                .tmpfile, .root, name.utf8, flags: Open.readWrite, mode: 0o600, umask: 0)
            _ = try fixture.guest.call(request, returning: CreateOut.self)
        }
        #expect(fixture.host.snapshot().map { $0.split(separator: " ")[0] } == before)
    }

    // MARK: Forged numbers

    @Test(arguments: CatalogueEntry.all) func forgedNodes(entry: CatalogueEntry) throws {
        let fixture = try CatalogueFixture()
        let stale = try fixture.guest.mkdir(.root, "gone".utf8)
        try fixture.guest.rmdir(.root, "gone".utf8)
        try fixture.guest.forget(stale.node)
        let before = fixture.host.snapshot()
        let good = entry.request(fixture).header.nodeID
        for node in [0, 77, stale.nodeID, good | 1 << 63, good &+ 1 << 32, 1 << 31, .max, UInt64(Int64.max)] {
            var request = entry.request(fixture)
            request.header.nodeID = node
            let code = try send(fixture, request)
            // With a good handle the node need not matter.
            #expect(
                code == -ESTALE || (entry.handleOffset != nil && (code == -EBADF || code == 0)),
                "\(node): \(code)")
            if code == 0 { break }
        }
        if entry.handleOffset == nil { #expect(fixture.host.snapshot() == before) }
        try expectAlive(fixture)
    }

    @Test func forgedNodesAmongTheArguments() throws {
        let fixture = try CatalogueFixture()
        let before = fixture.host.snapshot()
        for node: UInt64 in [0, 77, 1 << 31, .max] {
            let bad = NodeID(rawValue: node)
            #expect(throws: Errno.ESTALE) { try fixture.guest.link(bad, to: .root, "new".utf8) }
            #expect(throws: Errno.ESTALE) {
                try fixture.guest.rename(.root, "file".utf8, to: bad, "new".utf8)
            }
            #expect(throws: Errno.ESTALE) {
                try fixture.guest.rename2(.root, "file".utf8, to: bad, "new".utf8, flags: 1)
            }
            try fixture.guest.forget(bad, count: .max)
            try fixture.guest.batchForget([(bad, 1), (bad, .max)])
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    @Test(arguments: CatalogueEntry.all.filter { $0.handleOffset != nil }) func forgedHandles(
        entry: CatalogueEntry
    ) throws {
        let fixture = try CatalogueFixture()
        let guest = fixture.guest
        let stale = try guest.open(fixture.file, flags: Open.readWrite).handle
        try guest.release(fixture.file, stale)
        let before = fixture.host.snapshot()
        let isDirectory = CatalogueEntry.directories.contains { $0.opcode == entry.opcode }
        let good = isDirectory ? fixture.directoryHandle : fixture.fileHandle
        let wrongKind = isDirectory ? fixture.fileHandle : fixture.directoryHandle
        var handles = [stale, good | 1 << 63, good &+ 1 << 32, 1 << 31, 12345, .max]
        // Some operations work on whatever is open.
        if ![.flush, .fsync, .fsyncdir, .release, .releasedir, .ioctl, .lseek, .getlk, .setlk, .setlkw]
            .contains(entry.opcode)
        {
            handles.append(wrongKind)
        }
        for handle in handles {
            var request = entry.request(fixture)
            let offset = entry.handleOffset ?? 0
            request.arguments.replaceSubrange(offset..<offset + 8, with: wireBytes(of: handle))
            let code = try send(fixture, request)
            let expected = handle == wrongKind ? [EBADF, EISDIR, ENOTDIR, EINVAL] : [EBADF]
            #expect(expected.contains(-code), "\(handle): \(code)")
        }
        #expect(fixture.host.snapshot() == before)
        try expectAlive(fixture)
    }

    @Test func forgedHandlesAmongTheArguments() throws {
        let fixture = try CatalogueFixture()
        for handle: UInt64 in [77, 1 << 31, fixture.fileHandle | 1 << 63, .max] {
            #expect(throws: Errno.EBADF) { try fixture.guest.getattr(fixture.file, handle: handle) }
            #expect(throws: Errno.EBADF) { try fixture.guest.statx(fixture.file, handle: handle) }
            var size = SetAttrIn()
            (size.valid, size.handle) = (SetAttrValid.size | SetAttrValid.handle, handle)
            #expect(throws: Errno.EBADF) { try fixture.guest.setattr(fixture.file, size) }
            var copy = CopyFileRangeIn()
            (copy.handleIn, copy.handleOut, copy.nodeIDOut) = (
                fixture.fileHandle, handle, fixture.file.rawValue
            )
            copy.length = 1
            #expect(throws: Errno.EBADF) { try fixture.guest.copyFileRange(fixture.file, copy) }
        }
        #expect(try fixture.host.text("file") == "0123456789")
    }

    // MARK: Contradictions

    @Test func writeSizesThatContradict() throws {
        let fixture = try CatalogueFixture()
        for size: UInt32 in [0, 2, 4, 1 << 30, .max] {
            var request = FuseClient.writeRequest(fixture.file, fixture.fileHandle, offset: 0, [1, 2, 3])
            request.arguments.replaceSubrange(16..<20, with: wireBytes(of: size))
            #expect(try send(fixture, request) == -EINVAL)
        }
        #expect(try fixture.host.text("file") == "0123456789")
    }

    /// A READ longer than its room is cut to it.
    @Test func readsBeyondTheirRoom() throws {
        let fixture = try CatalogueFixture()
        for size: UInt32 in [100, 1 << 30, .max] {
            var request = FuseClient.readRequest(.read, fixture.file, fixture.fileHandle, offset: 0, size: 4)
            request.arguments.replaceSubrange(16..<20, with: wireBytes(of: size))
            #expect(try fixture.guest.call(request) == Array("0123".utf8))
        }
    }

    @Test func forgetCountsThatContradict() throws {
        let fixture = try CatalogueFixture()
        for count: UInt32 in [0, 2, 1 << 28, .max] {
            var argument = BatchForgetIn()
            argument.count = count
            var request = FuseRequest(.batchForget, NodeID(rawValue: 0), argument)
            var one = ForgetOne()
            (one.nodeID, one.count) = (fixture.directory.rawValue, 1)
            request.append(one)
            request.replyBodyByteCount = nil
            _ = try fixture.guest.receive(try fixture.guest.submit(request))
        }
        _ = try fixture.guest.getattr(fixture.directory)
    }
}

/// A file with a byte in it, made in passing.
private struct OwnedFile {
    init(_ path: String) {
        let number = open(path, O_CREAT | O_WRONLY, 0o600)
        _ = Glibc.write(number, "x", 1)
        close(number)
    }
}
