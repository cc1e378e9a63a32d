// SPDX-License-Identifier: Apache-2.0
import FuseWire

extension Seeds {
    // The operations of `PciTarget`.
    private static func read(_ region: UInt8, _ offset: UInt32, _ count: UInt8) -> [UInt8] {
        [0, region] + fields(offset) + [count]
    }
    private static func write(_ region: UInt8, _ offset: UInt32, _ bytes: [UInt8]) -> [UInt8] {
        [1, region] + fields(offset) + [UInt8(bytes.count)] + bytes
    }
    private static func put(_ offset: UInt16, _ bytes: [UInt8]) -> [UInt8] {
        [2] + fields(offset) + [UInt8(bytes.count)] + bytes
    }
    private static func map(_ page: UInt8, _ pages: UInt8, flags: UInt8 = 3, file: UInt8) -> [UInt8] {
        [3, page, pages, flags, file]
    }
    private static func interrupts(
        _ index: UInt8, _ change: UInt8, _ start: UInt8 = 0, _ count: UInt8 = 0, flags: UInt16 = 0
    ) -> [UInt8] {
        [6, index, change, start, count] + fields(flags)
    }
    private static let reset: [UInt8] = [7], event: [UInt8] = [8], hangUp: [UInt8] = [9]

    /// All guest memory, at address 0.
    private static let wholeMemory = map(0, 16, file: 0)

    private static func all(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }

    /// BARs are found and placed, capabilities are read, memory and bus mastering are switched on.
    private static let sizing: [UInt8] = {
        var bytes = read(7, 0, 64)
        for place in stride(from: UInt32(0x10), to: 0x28, by: 4) {
            bytes += write(7, place, [0xff, 0xff, 0xff, 0xff])
            bytes += read(7, place, 4)
        }
        bytes += write(7, 0x10, fields(UInt32(0xfe00_0000)))
        bytes += write(7, 0x14, fields(UInt32(0xfe01_0000)))
        bytes += write(7, 0x18, fields(UInt64(0x40_0000_0000)))
        bytes += write(7, 0x20, fields(UInt64(0x40_0080_0000)))
        bytes += write(7, 0x3c, [11])
        bytes += write(7, 0x0c, [16, 64])
        bytes += write(7, 4, [0x07, 0x00])
        for place in stride(from: UInt32(0x40), to: 0x100, by: 16) { bytes += read(7, place, 16) }
        return bytes
    }()

    private static func setStatus(_ value: UInt8) -> [UInt8] { write(0, 20, [value]) + read(0, 20, 1) }
    private static let run = setStatus(15)

    /// The status register gets one bit after the other, and the features are taken.
    private static func negotiation(_ features: UInt32, _ more: UInt32 = 1) -> [UInt8] {
        let (low, high) = (fields(UInt32(0)), fields(UInt32(1)))
        return all(
            setStatus(0), setStatus(1), setStatus(3), write(0, 0, low), read(0, 4, 4), write(0, 0, high),
            read(0, 4, 4), write(0, 8, low), write(0, 12, fields(features)), write(0, 8, high),
            write(0, 12, fields(more)), setStatus(11), read(0, 0x2000, 40))
    }

    /// A queue of eight whose ring begins at `page`: descriptors, 1 KiB on the available ring, 2 KiB on the used one.
    private static func queue(_ index: UInt16, page: UInt32, vector: UInt16, halves: Bool = false) -> [UInt8]
    {
        var bytes = all(write(0, 22, fields(index)), read(0, 24, 2), write(0, 24, fields(UInt16(8))))
        for part in 0..<UInt32(3) {
            let (register, place) = (32 + 8 * part, page << 12 + part << 10)
            if halves {
                bytes += write(0, register, fields(place))
                bytes += write(0, register + 4, fields(UInt32(0)))
            } else {
                bytes += write(0, register, fields(UInt64(place)))
            }
        }
        return bytes + all(write(0, 26, fields(vector)), read(0, 26, 2), write(0, 28, fields(UInt16(1))))
    }

    /// What the driver has made available in the ring at `page`.
    private static func available(page: UInt16, index: UInt16, _ head: UInt16 = 0) -> [UInt8] {
        put(page << 12 + 1024, fields(UInt16(0), index, head, head))
    }

    /// A ring at `page` with one request of two descriptors: a GETATTR, or the operation `opcode`, in page 12.
    private static func request(page: UInt16, opcode: Opcode = .getattr) -> [UInt8] {
        all(
            put(page << 12, fields(UInt64(0xc000), UInt32(56), UInt16(1), UInt16(1))),
            put(page << 12 + 16, fields(UInt64(0xd000), UInt32(120), UInt16(2), UInt16(0))),
            put(0xc000, fields(UInt32(56), opcode.rawValue, UInt64(7), UInt64(1), UInt64(0), UInt64(0))),
            available(page: page, index: 1))
    }

    private static func kick(_ queue: UInt32 = 1) -> [UInt8] {
        write(0, 0x3000 + 4 * queue, [UInt8(queue), 0])
    }

    private static let vectors: [UInt8] = all(
        write(7, 4, [0x06, 0x04]), write(7, 0x98 + 2, [0, 0xc0]), write(7, 0x98 + 2, [0, 0x80]),
        interrupts(2, 0), interrupts(2, 1, 0, 1, flags: 1), interrupts(2, 1, 0, 3, flags: 1),
        write(0, 16, [0, 0]), write(1, 0, fields(UInt64(0xfee0_0000), UInt32(33), UInt32(0))))

    private static let bringUp: [UInt8] = all(
        wholeMemory, sizing, vectors, negotiation(3 << 28), queue(0, page: 1, vector: 1),
        queue(1, page: 2, vector: 2), request(page: 2), run, kick(), request(page: 1, opcode: .forget),
        kick(0),
        read(0, 0, 56), setStatus(0), reset)

    private static let line: [UInt8] = all(
        wholeMemory, interrupts(0, 1, 0, 1, flags: 1), negotiation(0),
        queue(1, page: 2, vector: 0xffff, halves: true), request(page: 2), run, kick(), event, read(7, 6, 2),
        interrupts(0, 4, 0, 1, flags: 1), read(0, 0x1000, 1), interrupts(0, 3, 0, 1, flags: 1),
        write(7, 4, [0x06, 0x04]), write(7, 4, [0x06, 0x00]), interrupts(0, 2, 0, 1, flags: 1),
        interrupts(0, 0), reset)

    /// The capability that reaches the BARs is the fifth: at 0x40 + 3 × 16 + 20.
    private static let access: [UInt8] = {
        let targets: [(bar: UInt8, offset: UInt32, length: UInt32)] = [
            (0, 20, 1), (0, 0x2000, 4), (2, 0, 4), (4, 0, 2), (5, 0, 4), (1, 0, 3),
        ]
        var bytes: [UInt8] = []
        for target in targets {
            bytes += write(7, 0x84 + 4, [target.bar])
            bytes += write(7, 0x84 + 8, fields(target.offset, target.length))
            bytes += read(7, 0x84 + 16, UInt8(target.length))
            bytes += write(7, 0x84 + 16, [UInt8](repeating: 1, count: Int(target.length)))
        }
        return bytes
    }()

    /// Memory comes and goes under running queues, one of which starts late.
    private static let memory: [UInt8] = all(
        map(0, 4, file: 0), map(12, 4, file: 12), negotiation(1 << 29), queue(1, page: 2, vector: 1), run,
        request(page: 2), queue(0, page: 1, vector: 2), kick(), map(20, 2, flags: 1, file: 4),
        map(24, 1, flags: 4 | 1, file: 0), map(0xf0, 4, flags: 3 | 8, file: 8), [4, 0, 4, 0],
        available(page: 2, index: 2), kick(), [4, 12, 4, 0], kick(), read(0, 20, 1), [5], reset,
        map(0, 200, file: 0), hangUp)

    /// Wrong in one way each: unoffered features, DRIVER_OK too early, a ring outside memory, one that loops.
    private static let wrong: [UInt8] = all(
        negotiation(1), run, reset, setStatus(4), reset, negotiation(0), queue(1, page: 40, vector: 9), run,
        reset,
        wholeMemory, negotiation(1 << 28),
        put(0x2000, fields(UInt64(0xc000), UInt32(56), UInt16(1), UInt16(0))),
        available(page: 2, index: 1), queue(1, page: 2, vector: 1), run, kick())

    private static let shared: [UInt8] = all(
        read(2, 0, 0), read(2, 0x60_0000, 0), read(2, 0x5f_ffff, 8), write(2, 0, [1]), read(4, 0, 0),
        write(4, 0x1f_fffe, [1, 2]), read(0, 0, 0), read(1, 0xfff, 1), read(0, 0x3ffe, 2))

    private static let moreVectors: [UInt8] = all(
        vectors, interrupts(2, 2, 0, 3, flags: 5), interrupts(2, 1, 1, 2), interrupts(2, 0), hangUp)

    static let pci: [Seed] = [
        ("bring-up", 2, bringUp + bringUp), ("line", 12, line), ("sizing", 3, sizing + reset),
        ("vectors", 4, moreVectors), ("access", 3, access), ("memory", 8, memory), ("wrong", 0, wrong),
        ("shared", 3, shared),
    ].map { (name: String, shape: UInt8, bytes: [UInt8]) in Seed(name: name, bytes: [shape] + bytes) }
}
