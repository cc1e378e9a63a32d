// SPDX-License-Identifier: Apache-2.0
import VfioClient

extension Seeds {
    /// A message of `VfioTarget`: its flags, and `count` descriptors from the kind `first` on.
    private static func message(
        _ command: UInt8, _ payload: [UInt8] = [], quirks: UInt8 = 0, first: UInt8 = 0, count: UInt8 = 0
    ) -> [UInt8] {
        [command, quirks, first << 4 | count, UInt8(payload.count)] + payload
    }

    private static func map(_ address: UInt64, _ size: UInt64, flags: UInt32 = 3, file: Bool = true)
        -> [UInt8]
    {
        message(2, u32(32, flags) + u64(0, address, size), first: 1, count: file ? 1 : 0)
    }
    private static func regionInfo(_ index: UInt32, _ limit: UInt32 = 32) -> [UInt8] {
        message(5, u32(limit, 0, index, 0) + u64(0, 0))
    }
    private static func read(_ region: UInt32, _ offset: UInt64, _ count: UInt32) -> [UInt8] {
        message(9, u64(offset) + u32(region, count))
    }
    private static func write(
        _ region: UInt32, _ offset: UInt64, _ bytes: [UInt8], posted: Bool = false
    ) -> [UInt8] {
        message(
            10, u64(offset) + u32(region, UInt32(bytes.count)) + bytes, quirks: posted ? 1 : 0)
    }
    private static func interrupts(
        _ index: UInt32, _ flags: UInt32, _ start: UInt32, _ count: UInt32, data: [UInt8] = [],
        events: UInt8 = 0
    ) -> [UInt8] {
        message(8, u32(20 + UInt32(data.count), flags, index, start, count) + data, count: events)
    }

    /// What QEMU says, in its order, when a guest with a driver starts and ends.
    private static let machine: [UInt8] =
        message(1, u32(0) + text(VfioClient.qemuCapabilities)) + map(0, 0xa_0000)
        + map(0x10_0000, 0x10_0000) + map(0xf_0000, 0x1_0000, flags: 1, file: false)
        + message(4, u32(16, 0, 0, 0))
        + [0, 1, 2, 3, 4, 5, 7].flatMap { regionInfo($0) } + regionInfo(1, 80)
        + [3, 2, 0, 4].flatMap { message(7, u32(16, 0, $0, 0)) }
        + read(7, 0, 256) + interrupts(0, 0x24, 0, 1, events: 1) + message(13) + write(7, 4, [6, 0])
        + write(0, 20, [15]) + read(0, 20, 1) + write(0, 0x300, [1, 0], posted: true)
        + interrupts(0, 0x11, 0, 1)

    private static let messageSignalled: [UInt8] =
        write(7, 0xb2, [0, 0x80]) + interrupts(0, 0x21, 0, 0) + interrupts(2, 0x24, 0, 1)
        + interrupts(2, 0x24, 0, 15, events: 15) + interrupts(2, 0x24, 15, 5, events: 5)
        + interrupts(2, 0x22, 3, 4, data: [1, 0, 0, 1]) + interrupts(2, 0x09, 19, 1)
        + interrupts(2, 0x12, 0, 2, data: [0, 1]) + interrupts(2, 0x21, 0, 0)

    private static let ends: [UInt8] =
        message(3, u32(24, 0) + u64(0x10_0000, 0x10_0000)) + message(3, u32(24, 0) + u64(0, 4096))
        + message(3, u32(24, 2) + u64(0, 0)) + message(13)

    private static let edges: [UInt8] =
        write(3, .max - 1, [1]) + write(3, .max, [1]) + write(3, .max - 4, [1, 2, 3, 4]) + read(3, 0, 1)
        + read(4, 15, 1) + read(4, 15, 2) + write(4, 0, [1]) + read(0, 0xfff, 2) + read(8, 0, 1)
        + read(9, 0, 1) + read(1, 0, 0x4000) + read(0, 0, .max) + map(.max - 0xfff, 4096)
        + map(1 << 63, 1 << 63) + interrupts(2, 0x24, 20, 1) + interrupts(2, 0x24, .max, 2)
        + message(15, u64(2) + u64(0) + u32(0, 2) + u64(1) + u64(0xfff) + u32(0, 1) + u64(2))
        + message(15, u64(1 << 61) + u64(0) + u32(0, 2) + u64(1)) + message(15, u64(0))

    static let vfio: [Seed] = [
        ("machine", [1] + machine + ends), ("vectors", [0] + messageSignalled + ends), ("edges", [0] + edges),
        ("cloud-hypervisor", [0] + message(4, u32(36, 0, 0, 0, 0)) + (0..<9).flatMap { regionInfo($0) }),
        (
            "wrong",
            [0] + message(13, quirks: 4) + message(13, quirks: 0x30) + message(13, quirks: 64)
                + message(6, u32(16, 0, 0, 0)) + message(16, u32(8, 1 << 16)) + message(13, count: 2)
                + message(13, [1]) + message(1, u32(0)) + message(11, u64(0, 8), quirks: 1)
                + message(13, quirks: 2)
        ),
        ("size", [0] + message(13, quirks: 8) + read(7, 0, 4)), ("cut", [2] + read(7, 0, 4)),
        (
            "before",
            [1] + read(7, 0, 4) + message(1, u32(1)) + message(1, u32(0) + text("{}")) + read(7, 0, 4)
        ),
    ].map { Seed(name: $0.0, bytes: $0.1) }
}
