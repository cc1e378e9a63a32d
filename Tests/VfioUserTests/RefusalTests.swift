// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools
import Testing
import VfioClient

@testable import VfioUser

/// Commands that get an error for an answer; the stream goes on.
@Suite struct RefusalTests {
    private static let map = le32(32) + le32(3) + le64(0) + le64(0) + le64(4096)
    private static let interrupt = le32(20) + le32(0x24) + le32(2) + le32(0)

    private static let oneWrite = le64(0) + le32(7) + le32(1) + zeros(8)

    static let malformed: [(command: UInt16, payload: [UInt8], descriptors: Int)] = [
        (2, [], 0),
        (2, Array(map.dropLast()), 1),
        (2, map + [0], 1),
        (2, map, 2),
        (2, le32(32) + le32(3) + le64(0) + le64(1) + le64(4096), 1),
        (3, [], 0),
        (3, le32(24) + le32(0) + le64(0) + le64(0), 0),
        (3, le32(24) + le32(0) + le64(0) + le64(4096), 1),
        (4, [], 0),
        (4, le32(8) + zeros(12), 0),
        (4, le32(16) + zeros(12), 1),
        (5, le32(32) + le32(0) + le32(9) + zeros(20), 0),
        (5, le32(31) + zeros(28), 0),
        (5, le32(32) + zeros(28), 1),
        (7, le32(16) + le32(0) + le32(5) + le32(0), 0),
        (7, le32(16) + zeros(12), 1),
        (8, [], 0),
        (8, interrupt + le32(5), 0),
        (8, interrupt + le32(2), 1),
        (8, le32(20) + le32(0x14) + le32(2) + le32(0) + le32(1), 1),
        (8, le32(20) + le32(0x24) + le32(1) + le32(0) + le32(1), 1),  // no MSI here
        (8, le32(20) + le32(0x21) + le32(2) + le32(0) + le32(1), 1),
        // Regions: offset, region, count.
        (9, [], 0),
        (9, le64(0) + le32(7) + le32(0), 0),
        (9, le64(256) + le32(7) + le32(1), 0),
        (9, le64(253) + le32(7) + le32(4), 0),
        (9, le64(.max) + le32(7) + le32(1), 0),
        (9, le64(0) + le32(9) + le32(1), 0),
        (9, le64(0) + le32(.max) + le32(1), 0),
        (9, le64(0) + le32(8) + le32(1), 0),  // a region that is not there
        (9, le64(0) + le32(3) + le32(1 << 20 + 1), 0),
        (9, le64(0) + le32(3) + le32(.max), 0),
        (9, le64(.max) + le32(3) + le32(1), 0),
        (9, le64(0) + le32(4) + le32(1), 0),  // write-only
        (9, le64(0) + le32(7) + le32(1) + [0], 0),
        (9, le64(0) + le32(7) + le32(1), 1),
        (10, [], 0),
        (10, le64(0) + le32(7) + le32(0), 0),
        (10, le64(0) + le32(7) + le32(2) + [1], 0),
        (10, le64(0) + le32(7) + le32(1) + [1, 2], 0),
        (10, le64(256) + le32(7) + le32(1) + [1], 0),
        (10, le64(255) + le32(7) + le32(2) + [1, 2], 0),
        (10, le64(0) + le32(9) + le32(1) + [1], 0),
        (10, le64(0) + le32(8) + le32(1) + [1], 0),
        (10, le64(0) + le32(5) + le32(1) + [1], 0),  // read-only
        (10, le64(0) + le32(7) + le32(.max) + [1], 0),
        (10, le64(0) + le32(7) + le32(1) + [1], 1),
        (13, [0], 0),
        (13, [], 1),
        (15, [], 0),
        (15, le64(1), 0),
        (15, le64(0) + [0], 0),
        (15, le64(1) + zeros(23), 0),
        (15, le64(2) + oneWrite, 0),
        (15, le64(0) + oneWrite, 0),
        (15, le64(.max / 24 + 2) + oneWrite, 0),
        (15, le64(1) + oneWrite + [0], 0),
        (15, le64(1) + le64(0) + le32(7) + le32(9) + zeros(8), 0),
        (15, le64(1) + le64(0) + le32(7) + le32(0) + zeros(8), 0),
        (15, le64(1) + le64(0) + le32(5) + le32(1) + zeros(8), 0),
        (15, le64(1) + le64(256) + le32(7) + le32(1) + zeros(8), 0),
    ]

    @Test func malformedCommands() throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        for (index, (command, payload, descriptors)) in Self.malformed.enumerated() {
            let id = UInt16(index)
            let numbers = [Int32](repeating: probe.number, count: descriptors)
            let answer = try bench.exchange(
                header(command, id: id, payload.count) + payload, descriptors: numbers)
            #expect(
                answer == header(command, flags: 0x21, id: id, error: 22, 0),
                "case \(index), \(command) \(payload)")
        }
        #expect(bench.device.takeCalls() == [])
        #expect(bench.session.silentFailures == 0)
        #expect(try bench.exchange(header(13, 0)) == header(13, flags: 1, 0))
        #expect(probe.isClosedEverywhere())
    }

    /// The same, posted: silence, but counted.
    @Test func malformedPostedCommands() throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        for (command, payload, descriptors) in Self.malformed {
            let numbers = [Int32](repeating: probe.number, count: descriptors)
            let answer = try bench.exchange(
                header(command, flags: 0x10, payload.count) + payload, descriptors: numbers)
            #expect(answer == [])
        }
        #expect(bench.session.silentFailures == UInt64(Self.malformed.count))
        #expect(probe.isClosedEverywhere())
    }

    /// Writes before the wrong one are done.
    @Test func severalWritesUpToTheWrongOne() throws {
        let bench = try SessionBench()
        let writes =
            le64(2) + le64(0) + le32(0) + le32(1) + le64(1)
            + le64(0x1000) + le32(0) + le32(1) + le64(1)
        #expect(
            try bench.exchange(header(15, writes.count) + writes) == header(15, flags: 0x21, error: 22, 0))
        #expect(bench.device.takeCalls() == ["write 0 0 [1]"])
    }

    /// What we do not know or offer: GET_REGION_IO_FDS, what only a server sends, DEVICE_FEATURE, migration, nobody's.
    @Test(arguments: [0, 6, 11, 12, 14, 16, 17, 18, 19, 0xffff] as [UInt16])
    func unknownCommands(command: UInt16) throws {
        let bench = try SessionBench()
        let probe = try LeakProbe()
        let answer = try bench.exchange(header(command, 5) + zeros(5), descriptors: [probe.number])
        #expect(answer == header(command, flags: 0x21, error: 95, 0))
        #expect(try bench.exchange(header(command, flags: 0x10, 0)) == [])
        #expect(bench.session.silentFailures == 1)
        #expect(try bench.exchange(header(13, 0)) == header(13, flags: 1, 0))
        #expect(probe.isClosedEverywhere())
    }

    @Test func versionComesFirst() throws {
        let bench = try SessionBench(negotiated: false)
        let probe = try LeakProbe()
        for command: UInt16 in [0, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16, 99] {
            let answer = try bench.exchange(header(command, 0), descriptors: [probe.number])
            #expect(answer == header(command, flags: 0x21, error: 22, 0))
        }
        // A wrong one does not count.
        for payload in [[], le16(1) + le16(0), zeros(4) + Array("{}".utf8)] {
            #expect(
                try bench.exchange(header(1, payload.count) + payload) == header(1, flags: 0x21, error: 22, 0)
            )
            #expect(try bench.exchange(header(13, 0)) == header(13, flags: 0x21, error: 22, 0))
        }
        let numbers = [probe.number]
        #expect(
            try bench.exchange(header(1, 4) + zeros(4), descriptors: numbers)
                == header(1, flags: 0x21, error: 22, 0))
        try bench.client?.version()
        #expect(throws: Errno.EINVAL) { try bench.client?.version() }
        #expect(try bench.exchange(header(13, 0)) == header(13, flags: 1, 0))
        #expect(bench.device.takeCalls() == ["reset"])
        #expect(probe.isClosedEverywhere())
    }

    /// Neither a command nor a reply.
    @Test(arguments: [2, 3, 15, 0x22] as [UInt32]) func unknownTypes(flags: UInt32) throws {
        let bench = try SessionBench()
        #expect(try bench.exchange(header(13, flags: flags, 0)) == header(13, flags: 0x21, error: 22, 0))
        #expect(try bench.exchange(header(13, flags: flags | 0x10, 0)) == [])
        #expect(bench.session.silentFailures == 1)
        #expect(bench.device.takeCalls() == [])
    }

    /// Bits without meaning have none.
    @Test func reservedFieldsAreIgnored() throws {
        let bench = try SessionBench()
        #expect(try bench.exchange(header(13, flags: 0xffff_ffe0, error: 5, 0)) == header(13, flags: 1, 0))
    }

    @Test func deviceThatFails() throws {
        let device = FakeDevice()
        device.failing = ["map", "unmap", "unmap-all", "read", "write", "change", "reset"]
        let bench = try SessionBench(device)
        let client = try #require(bench.client)
        let probe = try LeakProbe()
        let range = DMARange(address: 0, size: 4096, fileOffset: 0, isReadable: true, isWritable: true)
        #expect(throws: Errno.EEXIST) { try client.map(range, probe.number) }
        #expect(throws: Errno.EEXIST) { try client.unmap(address: 0, size: 4096) }
        #expect(throws: Errno.EEXIST) { try client.unmapAll() }
        #expect(throws: Errno.EEXIST) { try client.read(7, 0, 4) }
        #expect(throws: Errno.EEXIST) { try client.write(7, 0, [1]) }
        #expect(throws: Errno.EEXIST) {
            try client.setInterrupts(0, flags: 0x24, count: 1, descriptors: [probe.number])
        }
        #expect(throws: Errno.EEXIST) { try client.reset() }
        try client.write(7, 0, [1], posted: true)
        #expect(bench.answer() == [])
        #expect(bench.session.silentFailures == 1)
        device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    /// A device that reads more or less than asked would shift everything behind it.
    @Test(arguments: [-1, 1]) func deviceThatReadsAnotherNumber(surplus: Int) throws {
        let device = FakeDevice()
        device.surplus = surplus
        let bench = try SessionBench(device)
        #expect(throws: Errno.EIO) { try bench.client?.read(7, 0, 4) }
    }
}
