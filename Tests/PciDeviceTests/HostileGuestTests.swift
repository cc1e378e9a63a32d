// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing
import VfioClient
import VfioUser

@testable import PciDevice

/// A guest, or a VMM, that does what the specification forbids.
@Suite struct HostileGuestTests {
    /// A VMM without a driver: registers by hand.
    private struct Bare {
        let rig: DeviceRig
        let bridge: VMMBridge
        let memory: OwnedFile

        final class OwnedFile {
            let descriptor: OwnedDescriptor
            init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
        }

        init(_ rig: DeviceRig) throws {
            self.rig = rig
            bridge = try rig.bridge()
            memory = OwnedFile(try makeMemoryFile(name: "ram", byteCount: 1 << 20))
        }

        func write(_ offset: UInt64, _ value: UInt64, _ width: Int) throws {
            try bridge.withClient { try $0.write(0, offset, Array(bytes(of: value).prefix(width))) }
        }

        func map(_ address: UInt64, _ size: UInt64) throws {
            try bridge.withClient {
                try $0.map(
                    DMARange(address: address, size: size, fileOffset: 0, isReadable: true, isWritable: true),
                    memory.descriptor.rawValue)
            }
        }

        /// Negotiates and enables both queues at these addresses.
        func start(descriptors: UInt64 = 0, available: UInt64 = 0x2000, used: UInt64 = 0x4000) throws {
            try write(20, 0, 1)
            try write(20, 3, 1)
            try write(8, 1, 4)
            try write(12, 1, 4)
            try write(20, 0x0b, 1)
            for queue: UInt64 in 0..<2 {
                try write(22, queue, 2)
                try write(32, descriptors &+ queue * 0x8000, 8)
                try write(40, available &+ queue * 0x8000, 8)
                try write(48, used &+ queue * 0x8000, 8)
                try write(28, 1, 2)
            }
            try write(20, 0x0f, 1)
        }

        /// With memory, and both queues where nothing is wrong.
        func run(at location: SourceLocation = #_sourceLocation) throws {
            try map(0, 1 << 20)
            try start()
            #expect(try status == 0x0f, sourceLocation: location)
        }

        var status: UInt64 { get throws { try bridge.status } }
    }

    /// What somebody without manners does to a device of his own. When he has gone, somebody who behaves is served.
    private func withBare(
        at location: SourceLocation = #_sourceLocation, _ body: (Bare) throws -> Void
    ) throws {
        let rig = try DeviceRig()
        try body(try Bare(rig))
        let guest = try DeviceGuest(rig)
        #expect(try guest.exchange("file") == "hello", sourceLocation: location)
    }

    @Test func queuesOutsideMemory() throws {
        try withBare { bare in
            try bare.start()  // no memory at all
            #expect(try bare.status & 0x40 != 0)
            try bare.map(0, 1 << 20)
            for (descriptors, available, used): (UInt64, UInt64, UInt64) in [
                (0xf_f000, 0x2000, 0x4000), (0, 0xf_ffff, 0x4000), (0, 0x2000, .max - 1),
                (1 << 63, 0x2000, 0x4000),
                (0, 0x2001, 0x4000), (8, 0x2000, 0x4000), (0, 0x2000, 0x4002),
            ] {
                try bare.start(descriptors: descriptors, available: available, used: used)
                #expect(try bare.status & 0x40 != 0, "\(descriptors) \(available) \(used)")
                try bare.write(0x3000, 0, 2)
            }
            try bare.start()
            #expect(try bare.status == 0x0f)
        }
    }

    @Test func memoryGoesAwayUnderAQueue() throws {
        try withBare { bare in
            try bare.run()
            #expect(bare.rig.daemonMaps.contains("memfd:ram"))
            try bare.bridge.withClient { try $0.unmap(address: 0, size: 1 << 20) }
            // The daemon lets go of it, too; a worker does when it looks up from its ring.
            let deadline = Deadline(milliseconds: 10_000)
            while bare.rig.daemonMaps.contains("memfd:ram"), !deadline.hasPassed { usleep(10_000) }
            #expect(!bare.rig.daemonMaps.contains("memfd:ram"))
            #expect(try bare.status & 0x40 != 0)
            try bare.write(0x3000, 0, 2)
            try bare.run()
        }
    }

    @Test func kicksOfNothing() throws {
        try withBare { bare in
            for offset: UInt64 in [0x3000, 0x3004, 0x3008, 0x3ffc, 0x3001] {
                try bare.write(offset, 0xffff, 2)
            }
            try bare.run()
            for offset: UInt64 in [0x3000, 0x3004, 0x3008, 0x3ffc] { try bare.write(offset, 7, 4) }
            #expect(try bare.status == 0x0f)
        }
    }

    @Test func aRingOfNonsense() throws {
        try withBare { bare in
            try bare.run()
            // The request queue's available index jumps far ahead.
            let index: [UInt8] = [0x77, 0x77]
            #expect(pwrite(bare.memory.descriptor.rawValue, index, 2, 0x8000 + 0x2002) == 2)
            try bare.write(0x3004, 1, 2)
            // The daemon gives the queue up, and the device says so.
            let deadline = Deadline(milliseconds: 10_000)
            while try bare.status & 0x40 == 0, !deadline.hasPassed { usleep(10_000) }
            #expect(try bare.status & 0x40 != 0)
        }
    }

    @Test func vectorsInDisorder() throws {
        try withBare { bare in
            try bare.run()
            let event = try EventFD()
            let number = event.descriptor.rawValue
            try bare.bridge.withClient { client in
                for round: UInt32 in 0..<50 {
                    try client.setInterrupts(
                        2, flags: 0x24, start: round % 3, count: 1, descriptors: [number])
                    if round % 3 == 0 { try client.setInterrupts(2, flags: 0x24, count: 3) }
                    if round % 5 == 0 { try client.setInterrupts(2, flags: 0x21, count: 0) }
                    if round % 7 == 0 {
                        try client.setInterrupts(0, flags: 0x24, count: 1, descriptors: [number])
                        try client.setInterrupts(0, flags: 0x21, count: 0)
                    }
                    try client.write(0, 22, [UInt8(round % 4), 0])
                    try client.write(0, 26, [UInt8(truncatingIfNeeded: round &* 37), 0])
                }
                #expect(throws: Errno.EINVAL) {
                    try client.setInterrupts(
                        2, flags: 0x24, start: 2, count: 2, descriptors: [number, number])
                }
                #expect(throws: Errno.EINVAL) {
                    try client.setInterrupts(1, flags: 0x24, count: 1, descriptors: [number])
                }
            }
            #expect(try bare.status == 0x0f)
        }
    }

    /// The device's memory by way of the configuration space, right and wrong.
    @Test func accessThroughTheConfigurationSpace() throws {
        try withBare { bare in
            try bare.bridge.withClient { client in
                func aim(_ bar: UInt8, _ offset: UInt32, _ length: UInt32) throws {
                    try client.write(7, 0x88, [bar])
                    try client.write(7, 0x8c, bytes(of: offset))
                    try client.write(7, 0x90, bytes(of: length))
                }
                try aim(0, 18, 2)
                #expect(try client.read(7, 0x94, 2) == [2, 0])  // num_queues
                try aim(0, 20, 1)
                try client.write(7, 0x94, [1])
                #expect(try client.read(7, 0x94, 1) == [1])  // status
                #expect(try client.read(0, 20, 1) == [1])
                // Wrong lengths, places and BARs are like memory that is not there.
                for (bar, offset, length): (UInt8, UInt32, UInt32) in [
                    (0, 20, 3), (0, 21, 2), (0, 0x4000, 1), (0, .max, 4), (2, 0, 4), (7, 0, 4), (255, 0, 4),
                    (0, 20, 0),
                ] {
                    try aim(bar, offset, length)
                    for width in [1, 2, 4] {
                        #expect(try client.read(7, 0x94, width) == [UInt8](repeating: 0, count: width))
                        try client.write(7, 0x94, [UInt8](repeating: 0, count: width))
                    }
                }
                #expect(try client.read(0, 20, 1) == [1])
            }
        }
    }

    /// Random accesses to everything there is.
    @Test func noise() throws {
        try withBare { bare in
            try bare.map(0, 1 << 20)
            let seed = UInt64.random(in: 0...UInt64.max)
            print("HostileGuestTests.noise: seed \(seed)")
            var state = seed
            func next(_ limit: UInt64) -> UInt64 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return (state >> 33) % limit
            }
            try bare.bridge.withClient { client in
                for _ in 0..<20_000 {
                    let region = [0, 0, 0, 7, 1][Int(next(5))] as UInt32
                    let width = [1, 2, 4, 8][Int(next(4))]
                    let offset: UInt64 =
                        region == 0 ? next(4) * 0x1000 + next(64) : region == 7 ? next(248) : next(0x1000 - 8)
                    if next(2) == 0 {
                        _ = try client.read(region, offset, width)
                    } else {
                        try client.write(
                            region, offset,
                            (0..<width).map { _ in next(3) == 0 ? UInt8(next(256)) : UInt8(next(16)) },
                            posted: true)
                    }
                    if next(500) == 0 { try client.reset() }
                }
                _ = try client.read(7, 0, 4)
            }
        }
    }
}
