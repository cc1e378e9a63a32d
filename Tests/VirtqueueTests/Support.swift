// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import GuestMemory
import HostOS
import Virtqueue

/// Guest memory of our own with one ring in it, both ends of the ring, and a place for buffers.
///
/// Guest addresses: 0 the ring; `buffers` 1 MiB, split between two regions in the middle.
final class Bench {
    static let buffers: UInt64 = 0x10_0000
    static let border: UInt64 = 0x18_0000
    static let end: UInt64 = 0x20_0000

    let memory: GuestMemory
    let layout: RingLayout
    let features: RingFeatures
    let driver: DriverQueue
    let device: DeviceQueue
    let chain = Chain()

    init(size: Int, features: RingFeatures = [], deviceFeatures: RingFeatures? = nil) throws {
        memory = try GuestMemory(regions: [
            makeRegion(at: 0, byteCount: Self.buffers),
            makeRegion(at: Self.buffers, byteCount: Self.border - Self.buffers, offset: 0x238),
            makeRegion(at: Self.border, byteCount: Self.end - Self.border, offset: 0x1678),
        ])
        layout = try RingLayout(size: size, contiguousAt: GuestAddress(0), memory: memory)
        self.features = features
        driver = DriverQueue(layout: layout, features: features)
        device = DeviceQueue(layout: layout, features: deviceFeatures ?? features)
    }

    func pop() throws(RingFault) -> Bool { try device.pop(into: chain, memory: memory) }

    /// Adds and publishes a chain.
    @discardableResult func add(
        _ readable: [GuestBuffer], _ writable: [GuestBuffer], table: IndirectTable? = nil
    ) throws(Errno) -> UInt16 {
        let head = try driver.add(readable: readable.span, writable: writable.span, indirectTable: table)
        driver.publish()
        return head
    }

    /// Room for an indirect table of `count` descriptors at a guest address.
    func table(at address: UInt64, count: Int) throws -> IndirectTable {
        try IndirectTable(
            address: GuestAddress(address),
            area: memory.area(at: GuestAddress(address), byteCount: 16 * count, alignment: 8))
    }

    func write(_ bytes: [UInt8], at address: UInt64) throws {
        try bytes.withUnsafeBytes { try memory.copy($0, to: GuestAddress(address)) }
    }

    func read(_ count: Int, at address: UInt64) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try bytes.withUnsafeMutableBytes { try memory.copy(from: GuestAddress(address), into: $0) }
        return bytes
    }
}

func makeRegion(at guest: UInt64, byteCount: UInt64, offset: UInt64 = 0) throws -> MemoryRegion {
    try MemoryRegion(
        adopting: makeMemoryFile(name: "ring", byteCount: Int(byteCount + offset)),
        guestAddress: GuestAddress(guest),
        byteCount: byteCount, userAddress: guest + 0x7000_0000_0000, mmapOffset: offset)
}

func buffer(_ address: UInt64, _ byteCount: UInt32) -> GuestBuffer {
    GuestBuffer(GuestAddress(address), byteCount: byteCount)
}

extension Chain {
    /// The whole request.
    var request: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: readableByteCount)
        let copied = bytes.withUnsafeMutableBytes { copyReadable(from: 0, into: $0) }
        return Array(bytes.prefix(copied))
    }
}

func bytes(of vectors: IOVectors) -> [UInt8] {
    (0..<vectors.count).flatMap { index in
        let entry = vectors.base![index]
        return [UInt8](UnsafeRawBufferPointer(start: entry.iov_base, count: entry.iov_len))
    }
}

func lengths(of vectors: IOVectors) -> [Int] { (0..<vectors.count).map { vectors.base![$0].iov_len } }

/// SplitMix64: the same sequence for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// A new seed, printed so that a failure can be repeated.
    static func announcedSeed(_ test: String) -> UInt64 {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("\(test): seed \(seed)")
        return seed
    }
}

extension RingLayout {
    /// Writes a descriptor as a driver would, with any flags.
    func poke(_ index: Int, _ address: UInt64, _ byteCount: UInt32, flags: UInt16, next: UInt16 = 0) {
        pokeDescriptor(index, of: descriptors, address, byteCount, flags: flags, next: next)
    }

    /// Writes the available ring from entry 0 and its index.
    func pokeAvailable(_ heads: [UInt16], index: UInt16) {
        for (place, head) in heads.enumerated() { available.storeRelaxed16(4 + 2 * place, head) }
        available.storeRelease16(2, index)
    }
}

func pokeDescriptor(
    _ index: Int, of table: SharedArea, _ address: UInt64, _ byteCount: UInt32, flags: UInt16,
    next: UInt16 = 0
) {
    table.storeRelaxed64(16 * index, address)
    table.storeRelaxed32(16 * index + 8, byteCount)
    table.storeRelaxed16(16 * index + 12, flags)
    table.storeRelaxed16(16 * index + 14, next)
}

/// Descriptor flags, by their names in <linux/virtio_ring.h>.
let NEXT: UInt16 = 1
let WRITE: UInt16 = 2
let INDIRECT: UInt16 = 4
