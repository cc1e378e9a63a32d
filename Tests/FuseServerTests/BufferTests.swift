// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import FuseServer

@Suite struct BufferTests {
    /// Makes a vector of entries of these lengths and shortens it.
    func shortened(_ lengths: [Int], to limit: Int) -> (lengths: [Int], byteCount: Int) {
        let entries = UnsafeMutableRawPointer.allocate(byteCount: max(1, lengths.count) * 16, alignment: 8)
        defer { entries.deallocate() }
        for (index, length) in lengths.enumerated() {
            entries.storeBytes(of: 0x1000 * (index + 1), toByteOffset: index * 16, as: Int.self)
            entries.storeBytes(of: length, toByteOffset: index * 16 + 8, as: Int.self)
        }
        let vector = DataVector(iovecs: entries, count: lengths.count, byteCount: lengths.reduce(0, +))
        let short = vector.shortened(to: limit)
        let left = (0..<short.count).map { entries.load(fromByteOffset: $0 * 16 + 8, as: Int.self) }
        for index in 0..<short.count {
            #expect(entries.load(fromByteOffset: index * 16, as: Int.self) == 0x1000 * (index + 1))
        }
        return (left, short.byteCount)
    }

    @Test func aVectorIsShortenedAtItsEnd() {
        #expect(shortened([10, 20, 30], to: 60) == ([10, 20, 30], 60))
        #expect(shortened([10, 20, 30], to: 100) == ([10, 20, 30], 60))
        #expect(shortened([10, 20, 30], to: 59) == ([10, 20, 29], 59))
        #expect(shortened([10, 20, 30], to: 30) == ([10, 20], 30))
        #expect(shortened([10, 20, 30], to: 29) == ([10, 19], 29))
        #expect(shortened([10, 20, 30], to: 1) == ([1], 1))
        #expect(shortened([10, 20, 30], to: 0) == ([], 0))
        #expect(shortened([10, 20, 30], to: -5) == ([], 0))
        #expect(shortened([0, 10, 0, 5], to: 12) == ([0, 10, 0, 2], 12))
        #expect(shortened([], to: 3) == ([], 0))
        #expect(DataVector.empty.shortened(to: 3).count == 0)
    }

    /// Whole, at the end of the file, and not at the end of a sector: all there is. The rest may be cut short by anything.
    @Test func aShortReadMayGoOn() {
        let read = HostRead(descriptor: 0, offset: 4096, byteCount: 8192)
        for count in [0, 1, 511, 513, 4097, 8191, 8192] { #expect(!read.mayGoOn(after: count)) }
        for count in [512, 4096, 7680] { #expect(read.mayGoOn(after: count)) }
        #expect(!HostRead(descriptor: 0, offset: .max, byteCount: 4096).mayGoOn(after: 4095))
    }

    @Test func aReplyNeverGrowsBeyondItsCapacity() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
        defer { memory.deallocate() }
        for index in memory.indices { memory[index] = 0xee }
        var reply = ReplyBuffer(base: memory.baseAddress!, capacity: 10)
        let fitting = [reply.append(UInt32(0x0403_0201)), reply.append(UInt16(0x0605))]
        #expect(fitting == [true, true])
        let refused = [reply.append(UInt64(0)), reply.appendZeros(5), reply.appendZeros(-1)]
        #expect(refused == [false, false, false])
        let room = reply.remaining
        #expect(room == 4)
        let more = [reply.appendZeros(2), reply.append(UnsafeRawBufferPointer(start: nil, count: 0))]
        #expect(more == [true, true])
        let three: [UInt8] = [7, 8, 9]
        let fits = three.withUnsafeBytes { reply.append($0) }
        #expect(!fits, "3 bytes into 2")
        reply.appendInPlace { free in
            free[0] = 7
            return free.count + 100
        }
        var counts = [reply.count]
        reply.appendInPlace { _ in -1 }
        counts.append(reply.count)
        #expect(counts == [10, 10], "what is claimed beyond the free space, or below, is not believed")
        #expect(Array(memory) == [1, 2, 3, 4, 5, 6, 0, 0, 7, 0xee] + [UInt8](repeating: 0xee, count: 6))
        counts = []
        for length in [3, 100, -1] {
            reply.truncate(to: length)
            counts.append(reply.count)
        }
        #expect(counts == [3, 3, 0])
    }
}
