// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Testing

@testable import Frontend

/// What reaches the daemon, and what the kernel gets, where a mount uses a window.
@Suite struct MappedReadTests {
    private typealias Bench = MappedReadBench
    private let piece = RangeTable.rangeByteCount

    private func page(_ number: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 4096)
    }

    @Test func theSecondReadAsksNobody() throws {
        let bench = try Bench()
        try bench.lookup()
        #expect(try bench.read(5 * 4096) == [UInt8](repeating: Bench.fromDaemon, count: 4096))
        #expect(try bench.readMapped(5 * 4096) == page(5))
        let asked = bench.log.count
        #expect(try bench.read(7 * 4096) == page(7))
        #expect(try bench.read(511 * 4096, 4096) == page(511))
        #expect(bench.log.count == asked)

        let setup = try #require(bench.seen(.setupMapping).first)
        // All ones, the piece, its length, only to be read, a range of the window.
        let argument = OrdinaryAnswers.load(SetupMappingIn.self, setup.body)
        #expect(setup.body.count == 40 && setup.header.length == 80 && setup.header.nodeID == Bench.node)
        #expect(argument.handle == .max && argument.fileOffset == 0 && argument.length == piece)
        #expect(argument.flags == SetupMappingIn.read && argument.windowOffset == 0)
        #expect(setup.header.unique % 2 == 0 && setup.header.unique > 1 << 60)
    }

    @Test func overABorder() throws {
        let bench = try Bench()
        try bench.lookup()
        let bytes = try bench.readMapped(piece - 8192, 16384)
        #expect(bytes == page(510) + page(511) + page(512) + page(513))
        let odd = try bench.readMapped(piece - 1, 4098)
        #expect(odd == [255] + page(512) + [1])
    }

    @Test func beyondTheSizeTheDaemonIsAsked() throws {
        let bench = try Bench(pages: 3)
        bench.size = 2 * 4096 + 10
        try bench.lookup()
        #expect(try bench.readMapped(8192, 10) == [UInt8](repeating: 2, count: 10))
        #expect(try bench.read(8192, 11) == [UInt8](repeating: Bench.fromDaemon, count: 11))
    }

    /// The file is cut by somebody else: the copy faults, and the daemon's answer counts.
    @Test func aFileThatWasCut() throws {
        let bench = try Bench()
        try bench.lookup()
        _ = try bench.readMapped(0)
        try bench.file.truncate(to: 4096)
        #expect(try bench.read(4096) == [UInt8](repeating: Bench.fromDaemon, count: 4096))
        #expect(bench.reads.counts.faults == 1)
        #expect(try bench.read(0) == page(0))
    }

    /// A READ that the kernel has sent after a WRITE does not overtake it.
    @Test func afterAWrite() throws {
        let bench = try Bench()
        try bench.lookup()
        _ = try bench.readMapped(0)
        var write = WriteIn()
        write.size = 1
        let before = bench.reads.counts
        try bench.send(.write, Bench.node, OrdinaryAnswers.bytes(write) + [1])
        try bench.send(.read, Bench.node, Bench.readBody(0, 4096))
        // The daemon does not answer before both have been taken from the kernel.
        let deadline = Deadline(milliseconds: MountBench.deadline)
        while bench.reads.counts == before && !deadline.hasPassed { usleep(200) }
        #expect(try bench.receive().body.count == 8)
        #expect(try bench.receive().body == [UInt8](repeating: Bench.fromDaemon, count: 4096))
        #expect(bench.reads.counts.hits == before.hits)
        #expect(try bench.read(0) == page(0), "and then it may come from the window again")
    }

    @Test func afterATruncation() throws {
        let bench = try Bench()
        try bench.lookup()
        _ = try bench.readMapped(0)
        var change = SetAttrIn()
        change.valid = SetAttrValid.size
        change.size = 100
        _ = try bench.exchange(.setattr, Bench.node, OrdinaryAnswers.bytes(change))
        #expect(try bench.read(0, 101).first == Bench.fromDaemon)
        #expect(try bench.read(0, 100).first == 0)
    }

    @Test func entriesOfDirectories() throws {
        let bench = try Bench()
        let answer = try bench.exchange(.readdirplus, 1, Bench.readBody(0, 4096))
        #expect(answer.count == 320)
        #expect(try bench.readMapped(4096) == page(1))
    }

    @Test func aDaemonThatRefuses() throws {
        let bench = try Bench()
        bench.refuses = true
        try bench.lookup()
        for _ in 0..<5 { #expect(try bench.read(0).first == Bench.fromDaemon) }
        try bench.wait { bench.reads.counts.refusals > 0 }
        let asked = bench.seen(.setupMapping).count
        for number in 0..<3 { #expect(try bench.read(UInt64(number) * 4096).first == Bench.fromDaemon) }
        #expect(bench.seen(.setupMapping).count == asked, "and is left alone then")
    }

    /// Nothing is where the daemon says that it is: every READ is answered by itself.
    @Test func aDaemonThatLies() throws {
        let bench = try Bench(pages: 8192, ranges: 2)
        bench.lies = true
        try bench.lookup()
        for number in 0..<60 {
            let offset = UInt64(number / 10) * piece + 8192
            #expect(try bench.read(offset) == [UInt8](repeating: Bench.fromDaemon, count: 4096))
        }
        #expect(bench.reads.counts.hits == 0 && bench.reads.counts.faults > 0)
        #expect(bench.seen(.removeMapping).count > 2, "what it refuses to take away is not there")
        try bench.send(.forget, Bench.node, forget(1))
        try bench.wait { bench.seen(.forget).count == 1 }
    }

    /// An answer that makes no sense is a refusal.
    @Test func aDaemonThatBabbles() throws {
        let bench = try Bench()
        bench.babbles = true
        try bench.lookup()
        for _ in 0..<5 { #expect(try bench.read(0).first == Bench.fromDaemon) }
        try bench.wait { bench.reads.counts.refusals > 0 }
    }

    /// A size that has become old is asked for, and counts again.
    @Test func anOldSize() throws {
        let bench = try Bench()
        try bench.lookup()
        _ = try bench.readMapped(0)
        usleep(1_100_000)
        #expect(try bench.read(0).first == Bench.fromDaemon)
        try bench.wait { bench.seen(.getattr).count == 1 }
        #expect(try bench.readMapped(0) == page(0))
    }

    /// More pieces than the window has ranges.
    @Test func takingBack() throws {
        let bench = try Bench(pages: 8192, ranges: 2)
        try bench.lookup()
        for round in 0..<3 {
            for number in 0..<16 {
                let offset = UInt64(number) * piece + 4096
                #expect(try bench.readMapped(offset) == page(number * 512 + 1), "round \(round)")
            }
        }
        #expect(bench.reads.counts.reclaims > 40)
        #expect(bench.window.pieces.count <= 2)
    }

    // MARK: FORGET

    private func forget(_ count: UInt64) -> [UInt8] {
        var argument = ForgetIn()
        argument.count = count
        return OrdinaryAnswers.bytes(argument)
    }

    @Test func whatIsMappedIsForgottenLater() throws {
        let bench = try Bench()
        try bench.lookup()
        try bench.send(.forget, 8, forget(1))
        try bench.wait { bench.seen(.forget).count == 1 }
        _ = try bench.readMapped(0)
        _ = try bench.readMapped(piece)
        try bench.send(.forget, Bench.node, forget(3))
        try bench.wait { bench.seen(.forget).count == 2 }
        #expect(bench.log.suffix(2).map(\.opcode) == [.removeMapping, .forget])
        let removal = try #require(bench.log.dropLast().last)
        #expect(removal.header.nodeID == Bench.node && removal.body.count == 4 + 2 * 16)
        let last = try #require(bench.log.last)
        #expect(last.header.nodeID == Bench.node && last.header.length == 48)
        #expect(OrdinaryAnswers.load(ForgetIn.self, last.body).count == 3)
        #expect(bench.window.pieces.isEmpty && bench.reads.counts.mapped == 0)
    }

    @Test func manyAtOnce() throws {
        let bench = try Bench()
        try bench.lookup()
        _ = try bench.readMapped(0)
        var batch = BatchForgetIn()
        batch.count = 3
        var body = OrdinaryAnswers.bytes(batch)
        for (node, count) in [(4, 1), (Bench.node, 2), (5, 7)] as [(UInt64, UInt64)] {
            var one = ForgetOne()
            (one.nodeID, one.count) = (node, count)
            body += OrdinaryAnswers.bytes(one)
        }
        try bench.send(.batchForget, 0, body)
        try bench.wait { !bench.seen(.forget).isEmpty }
        let sent = try #require(bench.seen(.batchForget).first).body
        let counts = (0..<3).map { number in
            OrdinaryAnswers.load(ForgetOne.self, Array(sent[(8 + 16 * number)...])).count
        }
        #expect(counts == [1, 0, 7], "the mapped one is forgotten by itself, when nothing of it is mapped")
        #expect(OrdinaryAnswers.load(ForgetIn.self, try #require(bench.log.last).body).count == 2)
    }

    // MARK: Races

    /// Reads from a window whose pieces come and go always give the file's bytes or the daemon's.
    @Test func copiesWhileRangesAreReused() throws {
        let bench = try Bench(pages: 8192, ranges: 3)
        try bench.lookup()
        for step in 0..<3000 {
            let number = (step * 7919) % 8191
            let bytes = try bench.read(UInt64(number) * 4096, 8192)
            let isOurs = bytes == page(number) + page(number + 1)
            #expect(isOurs || bytes.allSatisfy { $0 == Bench.fromDaemon }, "step \(step)")
        }
    }
}
