// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing
import Virtqueue

@testable import Bench
@testable import Frontend

/// What goes over the wire, byte by byte.
@Suite struct RequestTests {
    /// Runs one operation of a test and gives what the back-end saw after INIT and our directory.
    private func requests(_ name: String) throws -> [SeenRequest] {
        let backend = try ScriptedBackend { request in
            switch request.opcode {
            case .readlink: .answer(Array("some/where".utf8))
            case .getxattr: .answer([UInt8](repeating: UInt8(ascii: "v"), count: 32))
            case .lookup: .answer(wireBytes(of: ScriptedBackend.entry(name == "lookup" ? 7 : 0)))
            default: nil
            }
        }
        var options = SessionOptions()
        options.lanes = 1
        let session = try BenchSession(socketPath: backend.socketPath, options)
        let script = try #require(Catalogue.select([name]).scripts.first)
        _ = try session.measure(
            script, depth: 1, WindowOptions(warmUp: 0, duration: 0, minimumOperations: 1))
        // INIT, MKDIR of ours and of the test's directory.
        return Array(backend.requests.dropFirst(3))
    }

    private func last(_ opcode: Opcode, of name: String) throws -> SeenRequest {
        try #require(try requests(name).last { $0.opcode == opcode })
    }

    private func words(_ values: UInt32...) -> [UInt8] { values.flatMap { wireBytes(of: $0) } }
    private func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }

    @Test func headers() throws {
        let all = try requests("create")
        // The lane's own directory in the test's, then whole operations.
        #expect(all.first?.opcode == .mkdir && all.first?.header.nodeID == 7)
        #expect(all.dropFirst().prefix(3).map(\.opcode) == [.create, .release, .unlink])
        // The FORGET comes on a queue of its own, before or after what follows.
        #expect(all.contains { $0.opcode == .forget })
        for request in all {
            #expect(Int(request.header.length) == 40 + request.body.count)
            #expect(request.header.uid == geteuid() && request.header.gid == getegid())
            #expect(request.header.pid == UInt32(getpid()))
            #expect(request.header.unique % 2 == 1 && request.header.totalExtensionLength == 0)
            #expect(request.queue == (request.opcode == .forget ? 0 : 1))
        }
        #expect(Set(all.map(\.header.unique)).count == all.count)
    }

    @Test func names() throws {
        let mkdir = try last(.mkdir, of: "mkdir")
        #expect(mkdir.body == words(0o755, 0o022) + text("new") && mkdir.room == 16 + 128)
        let create = try last(.create, of: "create")
        // flags, mode, umask, open_flags
        let flags = UInt32(O_CREAT | O_EXCL | O_RDWR)
        #expect(create.body == words(flags, S_IFREG | 0o644, 0o022, 0) + text("new"))
        #expect(create.room == 16 + 128 + 16)
        #expect(try last(.unlink, of: "create").body == text("new"))
        #expect(try last(.lookup, of: "lookup").body == text("file"))
        #expect(try last(.lookup, of: "lookup-miss").room == 16 + 128)
        let symlink = try last(.symlink, of: "symlink")
        #expect(symlink.body == text("link") + text("some/where"))
        let readlink = try last(.readlink, of: "symlink")
        #expect(readlink.body.isEmpty && readlink.room == 16 + 4096)
        let renames = try requests("rename").filter { $0.opcode == .rename }
        #expect(renames[0].body == words(7, 0) + text("a") + text("b"))
        #expect(renames[1].body == words(7, 0) + text("b") + text("a"))
    }

    @Test func forgets() throws {
        let forget = try last(.forget, of: "create")
        // nodeid of CREATE's reply; nlookup 1
        #expect(forget.header.nodeID == 8 && forget.body == words(1, 0) && forget.room == 0)
        #expect(forget.header.length == 48)
    }

    @Test func attributes() throws {
        let getattr = try last(.getattr, of: "getattr")
        #expect(getattr.body == [UInt8](repeating: 0, count: 16) && getattr.room == 16 + 104)
        let setattr = try #require(try last(.setattr, of: "setattr").argument(SetAttrIn.self))
        #expect(setattr.valid == SetAttrValid.mode && setattr.mode == S_IFREG | 0o644)
        let statfs = try last(.statfs, of: "statfs")
        #expect(statfs.body.isEmpty && statfs.room == 16 + 80)
        let value = [UInt8](repeating: UInt8(ascii: "v"), count: 32)
        // Without FUSE_SETXATTR_EXT: size and flags only.
        #expect(try last(.setxattr, of: "xattr").body == words(32, 0) + text("user.bench") + value)
        let getxattr = try last(.getxattr, of: "xattr")
        #expect(getxattr.body == words(32, 0) + text("user.bench") && getxattr.room == 16 + 32)
    }

    @Test func files() throws {
        let open = try last(.open, of: "open")
        #expect(open.body == words(UInt32(O_RDONLY), 0) && open.room == 16 + 16)
        // fh of OPEN's reply, flags, release_flags, lock_owner
        #expect(try last(.release, of: "open").body == words(3, 0, 0, 0, 0, 0))
        let reads = try requests("read-4k").filter { $0.opcode == .read }
        let read = try #require(reads.first?.argument(ReadIn.self))
        #expect(read.handle == 3 && read.size == 4096 && read.offset % 4096 == 0)
        #expect(read.offset < Script.fileByteCount && reads.first?.room == 16 + 4096)
        let write = try last(.write, of: "write-4k")
        #expect(write.body.count == 40 + 4096 && write.room == 16 + 8)
        let offsets = try requests("read-1m").filter { $0.opcode == .read }
            .compactMap { $0.argument(ReadIn.self)?.offset }
        #expect(offsets == offsets.indices.map { UInt64($0) << 20 })
    }

    @Test func chainsAreCutAsLinuxDoes() throws {
        let ram = try GuestRAM(byteCount: 2 << 20)
        let buffer = try RAMBuffer(at: .init(1 << 16), byteCount: LaneMemory.byteCount, memory: ram.memory)
        let memory = LaneMemory(buffer)
        let queue = try ChainQueue(index: 1, size: 8, at: .init(0), ram: ram, features: .all)
        func chain(_ arguments: Int, data: Int, _ room: ReplyRoom) throws -> [(UInt64, UInt32, UInt16)] {
            memory.begin()
            memory.append(bytes: [UInt8](repeating: 1, count: arguments))
            memory.finish(InHeader(), dataByteCount: data, room: room)
            try memory.submit(to: queue, token: 0)
            var table = [UInt8](repeating: 0, count: 1024)
            table.withUnsafeMutableBytes { buffer.copy(from: 0, into: $0) }
            var result: [(UInt64, UInt32, UInt16)] = []
            for index in 0..<64 {
                // le64 address, le32 length, le16 flags, le16 next
                let entry = Array(table[16 * index..<16 * index + 16])
                let flags = wireValue(UInt16.self, from: entry[12...]) ?? 0
                result.append(
                    (
                        (wireValue(UInt64.self, from: entry) ?? 0) - (1 << 16),
                        wireValue(UInt32.self, from: entry[8...]) ?? 0, flags
                    ))
                if flags & 1 == 0 { break }
            }
            return result
        }
        // STATFS: a header; a header and 80 bytes.
        let statfs = try chain(0, data: 0, ReplyRoom(argumentByteCount: 80))
        #expect(statfs.map(\.1) == [40, 16, 80])
        #expect(statfs.map(\.0) == [12_288, 16_384, 16_400])
        #expect(statfs.map(\.2) == [1, 3, 2])
        // READ of 5000 bytes: header, arguments; header, pages.
        let read = try chain(40, data: 0, ReplyRoom(dataByteCount: 5000))
        #expect(read.map(\.1) == [40, 40, 16, 4096, 904])
        #expect(read.map(\.0) == [12_288, 12_328, 16_384, 20_480, 24_576])
        // WRITE of one page.
        let write = try chain(40, data: 4096, ReplyRoom(argumentByteCount: 8))
        #expect(write.map(\.1) == [40, 40, 4096, 16, 8])
        #expect(write.map(\.2) == [1, 1, 1, 3, 2])
        // UNLINK: a reply without a body.
        #expect(try chain(5, data: 0, ReplyRoom()).map(\.1) == [40, 5, 16])
    }
}
