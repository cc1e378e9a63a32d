// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

@Suite struct DirectoryRequestTests {
    private func text(_ record: DirectoryRecord) -> String { String(decoding: record.name, as: UTF8.self) }

    private func fill(_ host: HostRig, _ count: Int) throws -> Set<String> {
        try host.makeDirectory("d")
        var names: Set<String> = [".", ".."]
        for index in 0..<count {
            let name = "entry-\(index)-" + String(repeating: "x", count: index % 200)
            try host.write("d/\(name)", "")
            names.insert(name)
        }
        return names
    }

    @Test(arguments: Setup.all, [false, true]) func readdir(setup: Setup, plus: Bool) throws {
        let host = try HostRig(setup)
        let names = try fill(host, 300)
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let handle = try guest.opendir(directory.node).handle
        for size in [700, 4096, 1 << 20] {
            let all = try guest.readAll(directory.node, handle, size: size, plus: plus)
            #expect(all.count == names.count)
            #expect(Set(all.map(text)) == names)
            for record in all {
                let name = text(record)
                let isDots = name == "." || name == ".."
                #expect(record.dirent.type == UInt32(isDots ? DT_DIR : DT_REG))
                #expect(record.dirent.ino != 0)
                if let entry = record.entry { #expect((entry.nodeID == 0) == isDots) }
            }
        }
        try guest.release(directory.node, handle, directory: true)
        #expect(throws: Errno.EBADF) { try guest.readdir(directory.node, handle) }
    }

    /// Each entry of READDIRPLUS is a lookup: the node is known, and as many FORGETs as replies make it unknown.
    @Test(arguments: Setup.all) func readdirplusCountsLookups(setup: Setup) throws {
        let host = try HostRig(setup)
        try host.write("file", "12345")
        let guest = try host.guest()
        let handle = try guest.opendir(.root).handle
        var nodes: Set<UInt64> = []
        for _ in 0..<3 {
            let all = try guest.readAll(.root, handle, plus: true)
            let entry = try #require(all.first { text($0) == "file" }?.entry)
            #expect(entry.attributes.size == 5)
            #expect(entry.attrValid == 1)
            nodes.insert(entry.nodeID)
        }
        let node = NodeID(rawValue: try #require(nodes.count == 1 ? nodes.first : nil))
        #expect(try guest.lookup(.root, "file".utf8).node == node)
        try guest.forget(node, count: 3)
        _ = try guest.getattr(node)
        try guest.forget(node)
        #expect(throws: Errno.ESTALE) { try guest.getattr(node) }
    }

    /// Every entry's cookie leads to the entry after it.
    @Test(arguments: [false, true]) func cookiesAreUsableInAnyOrder(plus: Bool) throws {
        let host = try HostRig()
        _ = try fill(host, 50)
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let handle = try guest.opendir(directory.node).handle
        let all = try guest.readAll(directory.node, handle, size: 1 << 16, plus: plus)
        for index in all.indices.dropLast().shuffled() {
            let next = try guest.readdir(
                directory.node, handle, offset: all[index].dirent.offset, size: 4096, plus: plus)
            #expect(try #require(next.first).name == all[index + 1].name)
        }
        let last = try #require(all.last)
        #expect(try guest.readdir(directory.node, handle, offset: last.dirent.offset, plus: plus).isEmpty)
    }

    @Test func twoHandlesHavePositionsOfTheirOwn() throws {
        let host = try HostRig()
        let names = try fill(host, 40)
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let handles = try (0..<2).map { _ in try guest.opendir(directory.node).handle }
        var seen = [Set<String>(), Set<String>()]
        var offsets: [UInt64] = [0, 0]
        var ended = 0
        while ended < 2 {
            ended = 0
            for i in 0..<2 {
                let some = try guest.readdir(directory.node, handles[i], offset: offsets[i], size: 1024)
                if some.isEmpty { ended += 1 }
                for record in some { seen[i].insert(text(record)) }
                offsets[i] = some.last?.dirent.offset ?? offsets[i]
            }
        }
        #expect(seen == [names, names])
    }

    @Test func aReplyThatHoldsNoRecordIsAnErrorNotTheEnd() throws {
        let host = try HostRig()
        _ = try fill(host, 3)
        let guest = try host.guest()
        let directory = try guest.lookup(.root, "d".utf8)
        let handle = try guest.opendir(directory.node).handle
        #expect(throws: Errno.EINVAL) { try guest.readdir(directory.node, handle, size: 8) }
        #expect(throws: Errno.EINVAL) { try guest.readdir(directory.node, handle, size: 8, plus: true) }
    }

    @Test func opendirOfAFileIsRefused() throws {
        let host = try HostRig()
        try host.write("file", "")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        #expect(throws: Errno.ENOTDIR) { try guest.opendir(file.node) }
    }
}
