// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// What the window shows of files, without a virtual machine.
@Suite(.serialized, .enabled(if: DAXRig.isPossible)) struct ContentTests {
    private let piece = DAXGuest.piece

    @Test(arguments: [1, 4095, 4097, 2_097_151, 2_097_152, 2_097_153, 12 << 20 | 7])
    func everyByte(count: Int) throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(count))
        let guest = try rig.guest()
        #expect(try guest.lookup("f").attributes.flags & AttributeFlags.dax != 0)
        try guest.map("f")
        #expect(try guest.read(0, count) == bytes)
        // The rest of the last page, which a guest may see by mmap(2).
        let page = (count + 4095) / 4096 * 4096
        #expect(try guest.read(count, page - count).allSatisfy { $0 == 0 })
        #expect(guest.isWell && guest.refusals == 0)
    }

    @Test func smallFilesAndProgramsAreRead() throws {
        let rig = try DAXRig()
        try rig.write("small", DAXRig.bytes(8191))
        try rig.write("large", DAXRig.bytes(8192))
        try rig.write("program", DAXRig.bytes(100_000))
        chmod(rig.path("program"), 0o755)
        let guest = try rig.guest(["--dax-min-size=8K"])
        func isDAX(_ name: String) throws -> Bool {
            try guest.lookup(name).attributes.flags & AttributeFlags.dax != 0
        }
        #expect(try !isDAX("small"))
        #expect(try isDAX("large"))
        #expect(try !isDAX("program"))
    }

    /// What is appended inside of a mapped piece is there at once.
    @Test func appending() throws {
        let rig = try DAXRig()
        var bytes = try rig.write("f", DAXRig.bytes(5000))
        let guest = try rig.guest()
        let node = try guest.map("f")
        let handle = try guest.client.open(node, flags: UInt32(O_RDWR)).handle
        let more = DAXRig.bytes(10_000, seed: 99)
        #expect(try guest.client.write(node, handle, offset: 5000, more) == more.count)
        bytes += more
        #expect(try guest.read(0, bytes.count) == bytes)
        try rig.write("f", more, at: bytes.count)
        bytes += more
        #expect(try guest.read(0, bytes.count) == bytes)
        #expect(try guest.client.getattr(node).attributes.size == UInt64(bytes.count))
    }

    /// Written in place by one guest, seen by the host and by another guest without any request.
    @Test func writingInPlace() throws {
        let rig = try DAXRig()
        var bytes = try rig.write("f", DAXRig.bytes(3 << 20))
        let (one, other) = (try rig.guest(), try rig.guest())
        try one.map("f")
        try other.map("f", at: 8)
        for (number, offset) in [0, 4095, 1_000_000, piece - 2, (3 << 20) - 5].enumerated() {
            let news = [UInt8](repeating: UInt8(0xA0 + number), count: 5)
            try one.write(news, at: offset)
            bytes.replaceSubrange(offset..<offset + 5, with: news)
            #expect(try other.read(8 * piece + offset, 5) == news)
        }
        #expect(try rig.read("f") == bytes)
        try rig.write("f", [1, 2, 3], at: 77)
        #expect(try one.read(77, 3) == [1, 2, 3])
        #expect(try other.read(8 * piece + 77, 3) == [1, 2, 3])
    }

    @Test func truncatingByTheGuest() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(3 << 20))
        let guest = try rig.guest()
        let node = try guest.map("f")
        #expect(try guest.client.truncate(node, to: 10_001).attributes.size == 10_001)
        #expect(try guest.read(0, 10_001) == Array(bytes[..<10_001]))
        #expect(try guest.read(10_001, 12_288 - 10_001).allSatisfy { $0 == 0 })
        #expect(try guest.client.truncate(node, to: 4 << 20).attributes.size == 4 << 20)
        #expect(try guest.read(0, 10_001) == Array(bytes[..<10_001]))
        #expect(
            try guest.read(10_001, (3 << 20) - 10_001).allSatisfy { $0 == 0 },
            "what was cut comes back as zeros")
        try guest.write([1, 2, 3], at: piece)
        #expect(try Array(rig.read("f")[piece..<piece + 4]) == [1, 2, 3, 0])
        #expect(guest.isWell)
    }

    @Test func punchingHoles() throws {
        let rig = try DAXRig()
        var bytes = try rig.write("f", DAXRig.bytes(1 << 20))
        let guest = try rig.guest()
        let node = try guest.map("f")
        let handle = try guest.client.open(node, flags: UInt32(O_RDWR)).handle
        // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
        try guest.client.fallocate(node, handle, offset: 5000, length: 100_000, mode: 3)
        bytes.replaceSubrange(5000..<105_000, with: [UInt8](repeating: 0, count: 100_000))
        #expect(try guest.read(0, bytes.count) == bytes)
        try guest.write([7], at: 50_000)
        #expect(try rig.read("f")[50_000] == 7)
    }

    @Test func renamingAndRemoving() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(100_000))
        let guest = try rig.guest()
        let node = try guest.map("f")
        try guest.client.rename(.root, Array("f".utf8), to: .root, Array("g".utf8))
        try guest.write([9, 9], at: 0)
        #expect(try rig.read("g").prefix(2) == [9, 9])
        try rig.write("f", DAXRig.bytes(100, seed: 5))
        #expect(try guest.read(2, 99_998) == Array(bytes[2...]), "another file has the old name")
        try guest.client.unlink(.root, Array("g".utf8))
        #expect(try guest.read(2, 99_998) == Array(bytes[2...]))
        try guest.write([8], at: 99_999)
        #expect(try guest.read(99_999, 1) == [8])
        // A piece that is mapped when the name has gone.
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: UInt64(5 * piece))
        #expect(try guest.read(5 * piece + 99_999, 1) == [8])
        try guest.client.removeMapping(
            node, [(0, UInt64(piece)), (UInt64(5 * piece), UInt64(piece))])
        #expect(guest.window.pieces.isEmpty)
    }

    /// Linux asks a second time when a page is written that was mapped to be read; nothing changes by that.
    @Test func readingThenWriting() throws {
        let rig = try DAXRig()
        try rig.write("f", DAXRig.bytes(100))
        let guest = try rig.guest()
        let node = NodeID(rawValue: try guest.lookup("f").nodeID)
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0, writable: false)
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0, writable: true)
        try guest.write([5], at: 50)
        #expect(try rig.read("f")[50] == 5)
        #expect(guest.window.pieces == [0..<piece] && guest.refusals == 0)
        // And a place may be used for another piece without a word in between.
        try rig.write("g", DAXRig.bytes(100, seed: 3))
        try guest.map("g")
        #expect(try guest.read(0, 100) == DAXRig.bytes(100, seed: 3))
    }

    /// At the end of a session nothing is mapped.
    @Test func endingSessions() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(3 << 20))
        let guest = try rig.guest()
        try guest.map("f")
        try guest.client.destroy()
        #expect(guest.window.pieces.isEmpty)
        _ = try guest.client.initialize(flags: FuseClient.linuxFlags | FuseClient.daxFlags)
        try guest.map("f", at: 3)
        #expect(try guest.read(3 * piece, bytes.count) == bytes)
        _ = try guest.client.initialize(flags: FuseClient.linuxFlags | FuseClient.daxFlags)
        #expect(guest.window.pieces.isEmpty)
        try guest.map("f")
        try guest.frontend.reset()
        #expect(guest.window.pieces.isEmpty)
        _ = try guest.client.initialize(flags: FuseClient.linuxFlags | FuseClient.daxFlags)
        try guest.map("f")
        #expect(try guest.read(0, bytes.count) == bytes)
        #expect(guest.isWell)
    }
}
