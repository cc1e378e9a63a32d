// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import HostFS

/// QEMU 11.1 ends at its 513th region of memory, and each piece is one.
@Suite struct PieceLimitTests {
    private let bench: Bench
    private var all: [(name: String, status: FileStatus)] = []
    private static let most = DAXWindow.maximumPieceCount

    /// Of 512 MiB, with files of one chunk each at the same place in the window.
    init() throws {
        // Files are mapped themselves: half as many descriptors.
        bench = try Bench(endless: false, readOnly: true, byteCount: 512 << 20)
        for index in 0..<256 as Range<UInt64> {
            let name = "f\(index)"
            all.append((name, try bench.make(name, chunk)))
        }
    }

    private func map(_ index: Int) throws {
        try bench.setUp(all[index].status, all[index].name, at: UInt64(index) * chunk)
    }

    /// Each takes a while to be sure: several at a time.
    private func cut(_ indices: Range<Int>, to size: UInt64) throws {
        let window = bench.window
        let threads = try (0..<16).map { first in
            let keys = indices.dropFirst(first).enumerated().filter { $0.offset % 16 == 0 }.map {
                FileKey(all[$0.element].status)
            }
            return try HostOS.Thread(name: "cuts") { for key in keys { window.cut(key, to: size) } }
        }
        for thread in threads { thread.join() }
    }

    private func shown(_ index: Int) -> UInt64 {
        bench.vmm.shown(at: UInt64(index) * chunk, of: all[index].status.raw.stx_ino)
    }

    @Test func fewerThanQEMUSurvives() throws {
        // RAM, ROM and devices have some.
        #expect(Self.most <= 512 - 32 && Self.most > 256)
        for index in 0..<Self.most / 2 + 1 { try map(index) }
        try cut(0..<Self.most / 2 - 1, to: 4096)
        #expect(bench.vmm.pieceCount == Self.most)

        // What would be two pieces is none of the file, and comes when there is room.
        let last = Self.most / 2 - 1
        try cut(last..<last + 1, to: 8192)
        #expect(shown(last) == 0 && bench.vmm.pieceCount == Self.most)
        // Another size takes no more pieces than the one before.
        try cut(0..<1, to: 0)
        try cut(1..<2, to: 1)
        #expect(shown(1) == 4096)
        try cut(last..<last + 1, to: 8192)
        #expect(shown(last) == 8192 && bench.vmm.pieceCount == Self.most)

        // A chunk that is not there yet is refused, whatever it is, and leaves nothing.
        let (used, next) = (bench.quota.usedCount, Self.most / 2 + 1)
        #expect(throws: Errno.ENOSPC) { try map(next) }
        #expect(bench.vmm.pieceCount == Self.most && bench.quota.usedCount == used)
        try bench.remove(2 * chunk)
        #expect(bench.vmm.pieceCount == Self.most - 2)
        // The announcement of this one still counts: two pieces.
        try map(2)
        #expect(shown(2) == 4096 && bench.vmm.pieceCount == Self.most)
        #expect(throws: Errno.ENOSPC) { try map(next) }
        try bench.remove(0)
        try map(next)
        #expect(shown(next) == chunk && bench.vmm.pieceCount == Self.most)

        #expect(bench.vmm.mostPieceCount <= Self.most && bench.vmm.faults == [])
        bench.window.removeAll()
        #expect(bench.vmm.pieceCount == 0 && bench.quota.usedCount == 0)
    }
}
