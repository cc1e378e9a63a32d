// SPDX-License-Identifier: Apache-2.0
import Glibc
import HostOS
import Testing

@testable import Guest

@Suite struct CommandStreamsTests {
    /// Everything a feed gives, as its channel would take it.
    private func drain(_ feed: inout InputFeed) -> [UInt8] {
        var result: [UInt8] = []
        for _ in 0..<100 {
            feed.advance()
            if feed.waitsFor >= 0 { feed.readOnce() }
            result += feed.pending
            feed.pending = []
            feed.acknowledge()
        }
        return result
    }

    @Test func bytesGoOutCounted() {
        var feed = InputFeed(.bytes(Array("hello".utf8)), pieceByteCount: 32768, counted: true)
        #expect(drain(&feed) == Array("5\nhello0\n".utf8))
        #expect(feed.isEnded)
    }

    @Test func manyBytesGoOutInPieces() {
        var feed = InputFeed(
            .bytes([UInt8](repeating: 65, count: 32769)), pieceByteCount: 32768, counted: true)
        let expected = Array("32768\n".utf8) + [UInt8](repeating: 65, count: 32768) + Array("1\nA0\n".utf8)
        #expect(drain(&feed) == expected)
    }

    @Test func nextPieceWaitsForTheGuest() {
        var feed = InputFeed(.bytes(Array("ab".utf8)), pieceByteCount: 1, counted: true)
        feed.advance()
        #expect(Array(feed.pending) == Array("1\na".utf8))
        feed.pending = []
        feed.advance()
        #expect(feed.pending.isEmpty)
        feed.end()
        #expect(Array(feed.pending) == Array("0\n".utf8))
        feed.pending = []
        #expect(!feed.isSettled)
        feed.acknowledge()
        #expect(feed.isSettled)
    }

    @Test func terminalGetsPlainBytesAndNoEndMark() {
        var feed = InputFeed(.bytes(Array("ls\r".utf8)), pieceByteCount: 32768, counted: false)
        #expect(drain(&feed) == Array("ls\r".utf8))
    }

    @Test func descriptorIsReadToItsEnd() throws {
        let file = try makeMemoryFile(name: "test", byteCount: 0)
        try Files.writeAll(file.rawValue, Array("abc".utf8))
        lseek(file.rawValue, 0, SEEK_SET)
        var feed = InputFeed(.descriptor(file.rawValue), pieceByteCount: 32768, counted: true)
        #expect(drain(&feed) == Array("3\nabc0\n".utf8))
        #expect(feed.waitsFor == -1)
    }

    @Test func endDropsWhatIsLeftAndMarksTheEndOnce() {
        var feed = InputFeed(.bytes(Array("hello".utf8)), pieceByteCount: 32768, counted: true)
        feed.end()
        feed.end()
        #expect(drain(&feed) == Array("0\n".utf8))
    }

    @Test func sinkCaptures() {
        var sink = OutputSink(.capture)
        sink.take([1, 2])
        sink.take([3])
        #expect(sink.captured == [1, 2, 3])
        #expect(sink.acceptsMore)
        #expect(sink.waitsFor == -1)
    }

    @Test func sinkPassesOnAndHoldsBackMeanwhile() throws {
        let file = try makeMemoryFile(name: "test", byteCount: 0)
        var sink = OutputSink(.descriptor(file.rawValue))
        let bytes = (0..<10000).map { UInt8(truncatingIfNeeded: $0) }
        sink.take(bytes)
        #expect(!sink.acceptsMore)
        #expect(sink.waitsFor == file.rawValue)
        for _ in 0..<3 { sink.flushOnce() }
        #expect(sink.acceptsMore)
        #expect(try Files.readAllFromStart(file.rawValue) == bytes)
    }

    @Test func sinkOutlivesItsReader() {
        var sink = OutputSink(.descriptor(9999))
        sink.take([1])
        sink.flushOnce()
        #expect(sink.isBroken)
        sink.take([2])
        #expect(sink.acceptsMore)
        #expect(sink.waitsFor == -1)
    }
}
