// SPDX-License-Identifier: Apache-2.0
import Testing
import VhostUser

@testable import PciDevice

/// A device for tests of what is seen of it.
func shape(
    tag: String = "share", queues: Int = 1, tables: TableMemory? = nil, window: UInt64? = nil
) -> DeviceShape {
    DeviceShape(
        tag: tag, requestQueues: queues, queueSize: 256,
        features: [.version1, .eventIndex, .indirectDescriptors], tables: tables, windowByteCount: window)
}

@Suite struct ConfigurationSpaceTests {
    private func all(_ space: ConfigurationSpace) -> [UInt8] {
        space.read(0..<ConfigurationSpace.byteCount, interruptPending: false)
    }

    /// The capabilities as a guest finds them: id and bytes, in the order of the list.
    private func capabilities(_ bytes: [UInt8]) -> [(place: Int, bytes: ArraySlice<UInt8>)] {
        var found: [(Int, ArraySlice<UInt8>)] = []
        var place = Int(bytes[0x34])
        while place != 0, found.count < 48 {
            let length = bytes[place] == 0x09 ? Int(bytes[place + 2]) : 12
            found.append((place, bytes[place..<place + length]))
            place = Int(bytes[place + 1])
        }
        return found
    }

    @Test func whatItIs() {
        let bytes = all(ConfigurationSpace(shape()))
        #expect(Array(bytes[0..<4]) == [0xf4, 0x1a, 0x5a, 0x10])  // 1af4:105a
        #expect(bytes[0x06] & 0x10 != 0)  // has capabilities
        #expect(Array(bytes[0x08..<0x0c]) == [1, 0, 0x80, 1])  // revision 1, mass storage
        #expect(bytes[0x3d] == 1)  // INTA
    }

    @Test func capabilitiesOfALeanDevice() {
        let found = capabilities(all(ConfigurationSpace(shape(queues: 4))))
        // Every one lies behind the one before, at a multiple of four.
        #expect(found.map(\.place) == [0x40, 0x50, 0x60, 0x70, 0x84, 0x98])
        #expect(found.map { $0.bytes.dropFirst(3).first } == [1, 3, 4, 2, 5, 0])
        // common: BAR 0, offset 0, 4 KiB
        #expect(Array(found[0].bytes) == [9, 0x50, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0])
        // notify: BAR 0, offset 0x3000, 4 KiB, 4 bytes from queue to queue
        #expect(
            Array(found[3].bytes) == [9, 0x84, 20, 2, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0x10, 0, 0, 4, 0, 0, 0])
        // MSI-X: 6 vectors (5 queues and the configuration), table at BAR 1 + 0, pending bits at BAR 1 + 0x800
        #expect(Array(found[5].bytes) == [0x11, 0, 5, 0, 1, 0, 0, 0, 1, 8, 0, 0])
    }

    @Test func sharedMemoryOfAllThreeKinds() throws {
        let tables = try TableMemory(tableByteCount: 4 << 20, journalByteCount: 2 << 20)
        let bytes = all(ConfigurationSpace(shape(tables: tables, window: 1 << 33)))
        let found = capabilities(bytes).map(\.bytes).filter { $0.dropFirst(3).first == 8 }.map { Array($0) }
        try #require(found.count == 3)
        // length, kind 8, BAR, id, padding; offset, length, and their upper halves
        #expect(
            Array(found[0][2...]) == [24, 8, 4, 0, 0, 0] + [0, 0, 0, 0] + [0, 0, 0, 0] + [0, 0, 0, 0] + [
                2, 0, 0, 0,
            ])
        #expect(
            Array(found[1][2...]) == [24, 8, 2, 1, 0, 0] + [0, 0, 0, 0] + [0, 0, 0x40, 0] + [0, 0, 0, 0] + [
                0, 0, 0, 0,
            ])
        #expect(
            Array(found[2][2...]) == [24, 8, 2, 2, 0, 0] + [0, 0, 0x40, 0] + [0, 0, 0x20, 0] + [0, 0, 0, 0]
                + [0, 0, 0, 0])
        // Both are 64 bits wide and prefetchable.
        #expect(bytes[0x18] == 0x0c && bytes[0x20] == 0x0c)
    }

    @Test func sizesOfTheBARs() throws {
        let tables = try TableMemory(tableByteCount: 4 << 20, journalByteCount: 2 << 20)
        var space = ConfigurationSpace(shape(tables: tables, window: 64 << 20))
        space.write(0x10, [UInt8](repeating: 0xff, count: 24))
        let bytes = all(space)
        func word(_ bar: Int) -> UInt64 { number(bytes[0x10 + 4 * bar..<0x14 + 4 * bar]) }
        #expect(word(0) == 0xffff_c000)  // 16 KiB
        #expect(word(1) == 0xffff_f000)  // 4 KiB
        #expect(word(2) == 0xff80_000c && word(3) == 0xffff_ffff)  // 8 MiB, the next power of two
        #expect(word(4) == 0xfc00_000c && word(5) == 0xffff_ffff)  // 64 MiB
        space.write(0x20, [0, 0, 0, 0xfc, 3, 0, 0, 0])
        #expect(space.address(ofBAR: 4) == 0x3_fc00_0000)
        space.reset()
        #expect(space.address(ofBAR: 4) == 0)
    }

    @Test func aDeviceWithoutThemHasNoSuchBARs() {
        var space = ConfigurationSpace(shape())
        space.write(0x18, [UInt8](repeating: 0xff, count: 16))
        #expect(Array(all(space)[0x18..<0x28]) == [UInt8](repeating: 0, count: 16))
    }

    /// What a guest writes everywhere changes only what is the guest's.
    @Test func everythingElseIsConstant() {
        var space = ConfigurationSpace(shape())
        let before = all(space)
        space.write(0, [UInt8](repeating: 0xff, count: 256))
        let after = all(space)
        let changed = before.indices.filter { before[$0] != after[$0] }
        let free = [0x04, 0x05, 0x0c, 0x0d] + Array(0x11...0x13) + Array(0x15...0x17) + [0x3c]
        // The BAR, offset and length of the capability that reaches the BARs; enable and mask of MSI-X.
        #expect(changed == free + [0x88] + Array(0x8c...0x93) + [0x9b])
        #expect(after[0x04] == 0x07 && after[0x05] == 0x04 && after[0x9b] == 0xc0)
        #expect(space.disablesLine)
        space.reset()
        #expect(all(space) == before && !space.disablesLine)
    }

    @Test func aPendingInterruptShows() {
        let space = ConfigurationSpace(shape())
        #expect(space.read(6..<7, interruptPending: true) == [0x18])
        #expect(space.read(6..<7, interruptPending: false) == [0x10])
    }

    @Test func barSizes() {
        #expect(barByteCount(1) == 1 && barByteCount(4096) == 4096 && barByteCount(4097) == 8192)
        #expect(barByteCount(6 << 20) == 8 << 20 && barByteCount(1 << 40) == 1 << 40)
    }
}
