// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing
import VfioClient
import VfioUser

@testable import PciDevice

/// The whole way: requests of a guest through a device at a vfio-user socket to a daemon.
@Suite struct DeviceTests {
    @Test(arguments: [VMMBridge.Interrupts.vectors, .line], [1, 4])
    func requests(interrupts: VMMBridge.Interrupts, queues: Int) throws {
        let rig = try DeviceRig(queues: queues)
        let guest = try DeviceGuest(rig, interrupts, queues: queues)
        guest.client.rotatesQueues = true
        for turn in 0..<20 { #expect(try guest.exchange("file\(turn)", "text \(turn)") == "text \(turn)") }
        #expect(try Files.text("\(rig.share)/file19") == "text 19")
        #expect(try guest.client.lookup(.root, Array("none".utf8)).nodeID == 0)
        // One megabyte, in pages of guest memory that the device never sees.
        let created = try guest.client.create(.root, Array("large".utf8), flags: UInt32(O_RDWR))
        let node = NodeID(rawValue: created.entry.nodeID)
        let data = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 / 4096 + $0) }
        #expect(try guest.client.write(node, created.open.handle, data) == data.count)
        #expect(try guest.client.read(node, created.open.handle, size: data.count) == data)
        try guest.client.forget(node)
    }

    @Test(.enabled(if: requirementsMet("DeviceTests.peers", .lab)), arguments: [Lab.rustDaemon, Lab.cDaemon])
    func otherDaemons(program: String) throws {
        let options = program == Lab.cDaemon ? ["-o", "sandbox=chroot"] : ["--sandbox=none"]
        let rig = try DeviceRig(program: program, daemonOptions: options)
        let guest = try DeviceGuest(rig)
        #expect(try guest.exchange("file") == "hello")
    }

    @Test func configurationIsWhatADriverExpects() throws {
        let rig = try DeviceRig(queues: 2)
        let bridge = try rig.bridge(queues: 2)
        try bridge.withClient { client in
            let info = try client.deviceInfo()
            #expect(info.flags == 3 && info.regions == 9 && info.interrupts == 5)
            let sizes = try (0..<9).map { try client.regionInfo($0).info.size }
            #expect(sizes == [0x4000, 0x1000, 0, 0, 0, 0, 0, 256, 0])
            #expect(try client.interruptInfo(2).count == 4)
            let configuration = try client.read(0, 0x2000, 40)
            #expect(Array(configuration.prefix(4)) == Array("rig".utf8) + [0])
            #expect(Array(configuration.suffix(4)) == [2, 0, 0, 0])
        }
    }

    @Test func theTagIsTheDaemonsUnlessOneIsGiven() throws {
        for (given, shown) in [(nil, "daemon"), ("device", "device")] {
            let rig = try DeviceRig(tag: given, daemonOptions: ["--sandbox=none", "--tag=daemon"])
            let tag = try rig.bridge().withClient { try $0.read(0, 0x2000, 36) }
            #expect(String(decoding: tag.prefix { $0 != 0 }, as: UTF8.self) == shown)
        }
    }

    /// A VMM that keeps to what VERSION says finds room for all its memory.
    @Test func theVMMIsToldHowManyRangesThereCanBe() throws {
        let rig = try DeviceRig()
        let socket = try makeUnixSocket()
        try connectUnixSocket(socket.rawValue, to: rig.socketPath)
        let client = try VfioClient(adopting: socket, timeout: 20_000)
        let said = try client.version().split(separator: "\"max_dma_maps\":").last?.prefix(while: \.isNumber)
        let limit = try #require(said.flatMap { UInt64($0) })
        func map(_ place: UInt64) throws {
            let range = DMARange(
                address: place << 12, size: 0x1000, fileOffset: 0, isReadable: true, isWritable: false)
            try client.map(range, nil)
        }
        for place in 0..<limit { try map(place) }
        #expect(throws: Errno.ENOSPC) { try map(limit) }
        try client.unmap(address: 0, size: 0x1000)
        try map(limit)
    }

    /// Unbinding a driver and binding it again is a reset and a new start.
    @Test func aDriverComesAndGoes() throws {
        let rig = try DeviceRig(ownProcess: true)
        let guest = try DeviceGuest(rig)
        #expect(try guest.exchange("first") == "hello")
        let before = rig.counts
        #expect(before.descriptors > 10 && before.mappings > 0 && before.threads > 0)
        for turn in 0..<100 {
            try guest.client.frontend.reset()
            _ = try guest.client.initialize()
            #expect(try guest.exchange("again\(turn)") == "hello")
        }
        #expect(rig.counts == before)
    }

    /// Memory that is plugged in while the device works, and out again.
    @Test func memoryComesAndGoes() throws {
        let rig = try DeviceRig()
        let guest = try DeviceGuest(rig)
        let memory = try makeMemoryFile(name: "plugged-in", byteCount: 2 << 20)
        let (number, place) = (memory.rawValue, UInt64(1) << 40)
        for turn in 0..<20 {
            let range = DMARange(
                address: place, size: 1 << 20, fileOffset: UInt64(turn % 2) << 20, isReadable: true,
                isWritable: true)
            try guest.bridge.withClient { try $0.map(range, number) }
            #expect(rig.daemonMaps.contains("memfd:plugged-in"))
            #expect(throws: Errno.EEXIST) { try guest.bridge.withClient { try $0.map(range, number) } }
            #expect(try guest.exchange("with\(turn)") == "hello")
            try guest.bridge.withClient { try $0.unmap(address: place, size: 1 << 20) }
            #expect(try guest.exchange("without\(turn)") == "hello")
        }
        let deadline = Deadline(milliseconds: 10_000)
        while rig.daemonMaps.contains("memfd:plugged-in"), !deadline.hasPassed { usleep(10_000) }
        #expect(!rig.daemonMaps.contains("memfd:plugged-in"))
    }

    /// A VMM that vanishes after any message leaves nothing behind, and the next one is served.
    @Test func aVMMVanishes() throws {
        let rig = try DeviceRig(ownProcess: true)
        func begin(_ steps: Int) throws {
            let socket = try makeUnixSocket()
            try connectUnixSocket(socket.rawValue, to: rig.socketPath)
            let client = try VfioClient(adopting: socket)
            let memory = try makeMemoryFile(name: "ram", byteCount: 1 << 20)
            let event = try EventFD()
            let all: [() throws -> Void] = [
                { try client.version() },
                {
                    try client.map(
                        DMARange(
                            address: 0, size: 1 << 20, fileOffset: 0, isReadable: true, isWritable: true),
                        memory.rawValue)
                },
                {
                    try client.setInterrupts(
                        0, flags: 0x24, count: 1, descriptors: [event.descriptor.rawValue])
                },
                { try client.setInterrupts(0, flags: 0x21, count: 0) },
                {
                    try client.setInterrupts(
                        2, flags: 0x24, count: 3,
                        descriptors: [Int32](repeating: event.descriptor.rawValue, count: 3))
                },
                { try client.write(0, 20, [1]) }, { try client.write(0, 20, [3]) },
                { try client.write(0, 8, [1, 0, 0, 0]) }, { try client.write(0, 12, [1, 0, 0, 0]) },
                { try client.write(0, 20, [0x0b]) },
                { try client.write(0, 26, [1, 0]) },
                { try client.write(0, 40, [0, 0x20, 0, 0, 0, 0, 0, 0]) },
                { try client.write(0, 48, [0, 0x40, 0, 0, 0, 0, 0, 0]) },
                { try client.write(0, 28, [1, 0]) },
                { try client.write(0, 20, [0x0f]) },
                { try client.write(0, 0x3000, [0, 0], posted: true) },
                // A header that announces more than comes.
                { try client.send(bytes: [1, 0, 10, 0, 40, 0, 0, 0]) },
            ]
            for step in all.prefix(steps) { try step() }
        }
        let before = rig.counts
        #expect(before.descriptors > 10)
        for round in 0..<3 {
            for steps in 0...17 { try begin(steps) }
            let guest = try DeviceGuest(rig)
            #expect(try guest.exchange("file\(round)") == "hello")
            guest.bridge.vanish()
            // It has heard of the last one's end when the next is answered.
            try begin(1)
            let deadline = Deadline(milliseconds: 10_000)
            while rig.counts != before, !deadline.hasPassed { usleep(20_000) }
            #expect(rig.counts == before, "round \(round)")
        }
    }

    @Test func oneVMMAtATime() throws {
        let rig = try DeviceRig()
        let guest = try DeviceGuest(rig)
        let socket = try makeUnixSocket()
        try connectUnixSocket(socket.rawValue, to: rig.socketPath)
        let second = try VfioClient(adopting: socket, timeout: 10_000)
        try second.send(Command.version.rawValue, [0, 0, 0, 0])
        #expect(waitReadable(second.descriptor, timeoutMilliseconds: 200) == 0)
        #expect(try guest.exchange("file") == "hello")
        // It is served when the first has gone.
        guest.bridge.vanish()
        #expect(try second.receive().header.flags.contains(.reply))
        #expect(try second.deviceInfo().regions == 9)
    }
}

/// What a process holds.
struct ProcessCounts: Equatable, CustomStringConvertible {
    var descriptors = 0
    /// Of files without a name, as guest memory is.
    var mappings = 0
    var threads = 0

    init() {}

    init(process: String) {
        func count(_ name: String) -> Int { ((try? Files.names(in: "/proc/\(process)/\(name)")) ?? []).count }
        let maps = (try? Files.text("/proc/\(process)/maps")) ?? ""
        descriptors = count("fd")
        mappings = maps.split(separator: "\n").count { $0.contains("memfd:") }
        threads = count("task")
    }

    var description: String { "\(descriptors) descriptors, \(mappings) mappings, \(threads) threads" }
}
