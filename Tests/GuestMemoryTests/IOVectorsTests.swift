// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import GuestMemory
import Testing

@Suite struct IOVectorsTests {
    /// An `IOVectorList` in a shape that #expect can hold.
    private final class List {
        private let list: IOVectorList
        init(capacity: Int) { list = IOVectorList(capacity: capacity) }
        var count: Int { list.count }
        var byteCount: Int { list.byteCount }
        func removeAll() { list.removeAll() }
        func append(_ base: UnsafeMutableRawPointer, byteCount: Int) -> Bool {
            list.append(base, byteCount: byteCount)
        }
        func window(from offset: Int, atMost limit: Int) -> IOVectors {
            list.window(from: offset, atMost: limit)
        }
        func copyOut(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
            list.copyOut(from: offset, into: buffer)
        }
        func copyIn(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int { list.copyIn(bytes, at: offset) }
    }

    /// Private memory with byte n = n modulo 251, cut into pieces that do not touch.
    private final class Pieces {
        let base: UnsafeMutableRawBufferPointer
        init(byteCount: Int) {
            base = .allocate(byteCount: byteCount, alignment: 16)
            for index in 0..<byteCount { base[index] = UInt8(index % 251) }
        }
        deinit { base.deallocate() }
        func at(_ offset: Int) -> UnsafeMutableRawPointer { base.baseAddress! + offset }
    }

    /// Three pieces: bytes 10…14, 30…32, 50…57.
    private func sample(_ pieces: Pieces, into list: List) {
        #expect(list.append(pieces.at(10), byteCount: 5))
        #expect(list.append(pieces.at(30), byteCount: 3))
        #expect(list.append(pieces.at(50), byteCount: 8))
    }
    private static let content: [UInt8] = [10, 11, 12, 13, 14, 30, 31, 32, 50, 51, 52, 53, 54, 55, 56, 57]

    @Test func joinsPiecesThatTouch() {
        let pieces = Pieces(byteCount: 100)
        let list = List(capacity: 2)
        #expect(list.append(pieces.at(0), byteCount: 10))
        #expect(list.append(pieces.at(10), byteCount: 10))
        #expect(list.append(pieces.at(30), byteCount: 10))
        #expect(list.append(pieces.at(20), byteCount: 0))
        #expect(lengths(of: list.window(from: 0, atMost: .max)) == [20, 10])
        #expect(list.count == 2)
        #expect(list.byteCount == 30)
        // Full, but the last piece can still grow; a refused piece changes nothing.
        #expect(list.append(pieces.at(40), byteCount: 1))
        #expect(!list.append(pieces.at(60), byteCount: 1))
        #expect(!list.append(pieces.at(41), byteCount: -1))
        #expect(!list.append(pieces.at(41), byteCount: .max))
        #expect(lengths(of: list.window(from: 0, atMost: .max)) == [20, 11])
        #expect(list.byteCount == 31)
        list.removeAll()
        #expect(list.count == 0)
        #expect(list.byteCount == 0)
        #expect(list.window(from: 0, atMost: .max).count == 0)
    }

    @Test func windowsCutTheFirstAndLastPiece() {
        let pieces = Pieces(byteCount: 100)
        let list = List(capacity: 8)
        sample(pieces, into: list)
        for offset in 0...16 {
            for limit in 0...18 {
                let expected = Array(Self.content.dropFirst(offset).prefix(limit))
                let window = list.window(from: offset, atMost: limit)
                #expect(bytes(of: window) == expected, "\(offset) \(limit)")
                #expect(window.byteCount == expected.count)
                #expect(lengths(of: window).allSatisfy { $0 > 0 })
            }
        }
        #expect(bytes(of: list.window(from: 4, atMost: .max)) == Array(Self.content.dropFirst(4)))
        for (offset, limit) in [(-1, 5), (17, 1), (.max, .max), (.min, 1), (0, -1), (0, .min)] {
            let window = list.window(from: offset, atMost: limit)
            #expect(window.count == 0)
            #expect(window.byteCount == 0)
        }
        // The list itself is as it was.
        #expect(bytes(of: list.window(from: 0, atMost: .max)) == Self.content)
    }

    @Test func windowsHoldWhatOneCallTakes() {
        let pieces = Pieces(byteCount: 3000)
        let list = List(capacity: 1100)
        for index in 0..<1100 { #expect(list.append(pieces.at(index * 2), byteCount: 1)) }
        let first = list.window(from: 1, atMost: .max)
        #expect(first.count == 1024)
        #expect(first.byteCount == 1024)
        let rest = list.window(from: 1025, atMost: .max)
        #expect(rest.count == 75)
        #expect(bytes(of: rest).first == UInt8(2050 % 251))
    }

    @Test func copiesFromAndToAnyOffset() {
        let pieces = Pieces(byteCount: 100)
        let list = List(capacity: 8)
        sample(pieces, into: list)
        for offset in -1...17 {
            for count in 0...18 {
                let expected = offset < 0 ? [] : Array(Self.content.dropFirst(offset).prefix(count))
                var buffer = [UInt8](repeating: 0xff, count: count)
                #expect(
                    buffer.withUnsafeMutableBytes { list.copyOut(from: offset, into: $0) } == expected.count)
                #expect(buffer == expected + Array(repeating: 0xff, count: count - expected.count))
            }
        }
        let patch: [UInt8] = [201, 202, 203, 204, 205]
        #expect(patch.withUnsafeBytes { list.copyIn($0, at: 4) } == 5)
        #expect(bytes(of: list.window(from: 3, atMost: 7)) == [13, 201, 202, 203, 204, 205, 51])
        #expect(pieces.base[15] == 15)
        #expect(pieces.base[29] == 29)
        #expect(patch.withUnsafeBytes { list.copyIn($0, at: 14) } == 2)
        #expect(pieces.base[57] == 202)
        #expect(pieces.base[58] == 58)
        #expect(patch.withUnsafeBytes { list.copyIn($0, at: 16) } == 0)
        #expect(list.copyIn(UnsafeRawBufferPointer(start: nil, count: 0), at: 0) == 0)
    }

    @Test func aWindowIsWhatPreadvAndPwritevTake() throws {
        let pieces = Pieces(byteCount: 100)
        let list = List(capacity: 8)
        sample(pieces, into: list)
        let file = memfd_create("iovectors", 0)
        defer { close(file) }
        let out = list.window(from: 2, atMost: 9)
        #expect(pwritev(file, out.base, Int32(out.count), 0) == 9)
        let back = list.window(from: 6, atMost: 9)
        #expect(preadv(file, back.base, Int32(back.count), 0) == 9)
        #expect(bytes(of: list.window(from: 6, atMost: 9)) == [12, 13, 14, 30, 31, 32, 50, 51, 52])
    }
}
