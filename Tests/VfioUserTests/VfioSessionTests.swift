// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools
import Testing
import VfioClient

@testable import VfioUser

/// What a client that keeps to the protocol gets.
@Suite struct VfioSessionTests {
    @Test func version() throws {
        let bench = try SessionBench(negotiated: false)
        let client = try #require(bench.client)
        let text =
            #"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":3,"pgsizes":4096}}"#
        #expect(try client.version() == text)
    }

    @Test func versionOfAnotherClient() throws {
        #expect(throws: Never.self) {
            try SessionBench(negotiated: false).client?.version(minor: 7, capabilities: nil)
        }
    }

    /// The reply has the id of the command, and the size of its own.
    @Test func replyHeader() throws {
        let bench = try SessionBench(negotiated: false)
        let request = header(1, id: 0xbeef, 4) + zeros(4)
        let body = VersionMessage.reply(maximumMaps: bench.device.maximumMaps)
        #expect(try bench.exchange(request) == header(1, flags: 1, id: 0xbeef, body.count) + body)
    }

    @Test func questions() throws {
        let bench = try SessionBench()
        let client = try #require(bench.client)
        let info = try client.deviceInfo()
        #expect(info == (3, 9, 5))
        let interrupts = try (0..<5 as Range<UInt32>).map(client.interruptInfo)
        #expect(interrupts.map(\.flags) == [7, 1, 9, 1, 1])
        #expect(interrupts.map(\.count) == [1, 0, 4, 1, 0])
        for index: UInt32 in 0..<9 {
            #expect(try client.regionInfo(index).info == bench.device.region(index).withoutFile)
        }
        #expect(bench.device.takeCalls() == [])
    }

    /// The descriptor comes with each answer about a region that can be mapped.
    @Test func mappableRegions() throws {
        let device = FakeDevice()
        let file = try LeakProbe()
        for index: UInt32 in [1, 2] { device.regions[index]?.file = file.number }
        let bench = try SessionBench(device)
        let client = try #require(bench.client)
        for index: UInt32 in [1, 2] {
            let (info, copy) = try client.regionInfo(index)
            let number = try #require(copy).descriptor.rawValue
            #expect(number != file.number)
            #expect(info.file == number)
            #expect(info.mappable == device.region(index).mappable)
        }
        // Both of region 1's answers had one.
        for limit: UInt32 in [32, 80] {
            let reply = try client.exchange(.getRegionInfo, le32(limit) + le32(0) + le32(1) + zeros(20))
            #expect(reply.payload.count == Int(limit))
            #expect(reply.files.count == 1)
        }
        // A file of which nothing can be mapped stays here.
        device.regions[0]?.file = file.number
        #expect(try client.regionInfo(0).file == nil)
        #expect(file.isClosedEverywhere())
    }

    @Test func memory() throws {
        let bench = try SessionBench()
        let client = try #require(bench.client)
        let probe = try LeakProbe()
        let range = DMARange(
            address: 0x10_0000, size: 0x4000, fileOffset: 0x2000, isReadable: true, isWritable: true)
        try client.map(range, probe.number)
        try client.map(
            DMARange(address: 0xf000, size: 0x1000, fileOffset: 0, isReadable: true, isWritable: false), nil)
        try client.unmap(address: 0x10_0000, size: 0x4000)
        try client.unmapAll()
        #expect(
            bench.device.takeCalls() == [
                "map 100000,4000,2000 rw fd", "map f000,1000,0 r none", "unmap 100000 4000", "unmap-all",
            ])
        bench.device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    /// The reply to DMA_MAP is a header; that to DMA_UNMAP repeats what was asked.
    @Test func memoryReplies() throws {
        let bench = try SessionBench()
        let map = le32(32) + le32(1) + le64(0) + le64(0) + le64(4096)
        #expect(try bench.exchange(header(2, 32) + map) == header(2, flags: 1, 0))
        let unmap = le32(24) + le32(0) + le64(0) + le64(4096)
        #expect(try bench.exchange(header(3, 24) + unmap) == header(3, flags: 1, 24) + unmap)
    }

    @Test func regions() throws {
        let bench = try SessionBench()
        let client = try #require(bench.client)
        #expect(try client.read(7, 0x10, 4) == [0x10, 0x11, 0x12, 0x13])
        #expect(try client.read(3, .max - 1, 1) == [0xfe])
        try client.write(0, 0xffe, [1, 2])
        try client.write(4, 15, [9])
        #expect(
            bench.device.takeCalls() == [
                "read 7 16 4", "read 3 18446744073709551614 1", "write 0 4094 [1, 2]", "write 4 15 [9]",
            ])
    }

    /// More than a socket holds at a time.
    @Test func largestTransfers() throws {
        let device = FakeDevice()
        let (session, client) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (
                try VfioSession(adopting: ours, device: device, messageTimeout: 30_000),
                try VfioClient(adopting: theirs, timeout: 30_000)
            )
        }
        nonisolated(unsafe) let served = session
        let server = try Thread(name: "server") { for _ in 0..<4 { try? served.serveOne() } }
        try client.version()
        let bytes = try client.read(3, 1, 1 << 20)
        #expect(bytes.count == 1 << 20)
        #expect(bytes.last == 0)
        try client.write(3, 0, zeros(1 << 20))
        #expect(throws: Errno.EINVAL) { try client.read(3, 0, 1 << 20 + 1) }
        server.join()
        #expect(device.takeCalls() == ["read 3 1 1048576", "write 3 0 1048576 bytes"])
    }

    @Test func regionReplies() throws {
        let bench = try SessionBench()
        let access = le64(2) + le32(7) + le32(2)
        #expect(try bench.exchange(header(9, 16) + access) == header(9, flags: 1, 18) + access + [2, 3])
        #expect(try bench.exchange(header(10, 18) + access + [8, 9]) == header(10, flags: 1, 16) + access)
    }

    /// What a guest does to notify a queue: nothing comes back.
    @Test func postedWrite() throws {
        let bench = try SessionBench()
        try bench.client?.write(0, 0x300, [1, 0], posted: true)
        #expect(bench.answer() == [])
        #expect(bench.device.takeCalls() == ["write 0 768 [1, 0]"])
        #expect(bench.session.silentFailures == 0)
    }

    @Test func severalWrites() throws {
        let bench = try SessionBench()
        let writes =
            le64(2)  // how many
            + le64(4) + le32(0) + le32(2) + [1, 2, 0, 0, 0, 0, 0, 0]  // offset, region, count, data
            + le64(8) + le32(7) + le32(8) + [1, 2, 3, 4, 5, 6, 7, 8]
        #expect(try bench.exchange(header(15, writes.count) + writes) == header(15, flags: 1, 8) + le64(2))
        #expect(bench.device.takeCalls() == ["write 0 4 [1, 2]", "write 7 8 [1, 2, 3, 4, 5, 6, 7, 8]"])
        #expect(try bench.exchange(header(15, 8) + le64(0)) == header(15, flags: 1, 8) + le64(0))
    }

    @Test func interrupts() throws {
        let bench = try SessionBench()
        let client = try #require(bench.client)
        let probe = try LeakProbe()
        try client.setInterrupts(0, flags: 0x24, count: 1, descriptors: [probe.number])
        try client.setInterrupts(0, flags: 0x11, count: 1)
        try client.setInterrupts(0, flags: 0x21, count: 0)
        try client.setInterrupts(2, flags: 0x24, count: 1)
        try client.setInterrupts(
            2, flags: 0x24, start: 1, count: 3, descriptors: [probe.number, probe.number, probe.number])
        try client.setInterrupts(2, flags: 0x22, start: 2, count: 2, data: [0, 1])
        #expect(
            bench.device.takeCalls() == [
                "change intx assign(start: 0, count: 1) fd",
                "change intx unmask(start: 0, flags: [true])",
                "change intx disable",
                "change msix assign(start: 0, count: 1)",
                "change msix assign(start: 1, count: 3) fd fd fd",
                "change msix trigger(start: 2, flags: [false, true])",
            ])
        bench.device.closeKept()
        #expect(probe.isClosedEverywhere())
    }

    @Test func reset() throws {
        let bench = try SessionBench()
        #expect(try bench.exchange(header(13, 0)) == header(13, flags: 1, 0))
        #expect(bench.device.takeCalls() == ["reset"])
    }

    /// In one packet, and each still its own message.
    @Test func severalMessages() throws {
        let bench = try SessionBench()
        try bench.client?.send(bytes: header(13, id: 1, 0) + header(13, id: 2, 0))
        try bench.session.serveOne()
        try bench.session.serveOne()
        #expect(bench.answer() == header(13, flags: 1, id: 1, 0) + header(13, flags: 1, id: 2, 0))
    }

    @Test func descriptorTellsOfMessages() throws {
        let bench = try SessionBench()
        #expect(waitReadable(bench.session.descriptor, timeoutMilliseconds: 0) == 0)
        try bench.client?.send(bytes: header(13, 0))
        #expect(waitReadable(bench.session.descriptor, timeoutMilliseconds: 5000) != 0)
    }
}

extension RegionInfo {
    /// What a client can know of a region without a file.
    fileprivate var withoutFile: RegionInfo {
        var info = self
        if info.file == nil { info.mappable = [] }
        return info
    }
}
