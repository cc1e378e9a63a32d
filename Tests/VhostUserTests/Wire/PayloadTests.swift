// SPDX-License-Identifier: Apache-2.0
import MessageTools
import Testing

@testable import VhostUser

/// Golden bytes of every structure, both ways, and every wrong length.
@Suite struct PayloadTests {
    /// Decodes only from exactly these bytes: one less, one more and none are refused.
    private func expectExactSize(_ bytes: [UInt8], _ decode: ([UInt8]) throws(VhostUserError) -> Void) {
        #expect(throws: Never.self) { try decode(bytes) }
        for wrong in [Array(bytes.dropLast()), bytes + [0], []] {
            #expect(throws: VhostUserError.payloadSize(wrong.count)) { try decode(wrong) }
        }
    }

    @Test func header() throws {
        let bytes: [UInt8] = [
            24, 0, 0, 0,  // request: GET_CONFIG
            0x0d, 0, 0, 0,  // flags: version 1, reply, need reply
            0x08, 0x08, 0, 0,  // size: 2056
        ]
        let header = MessageHeader(
            request: 24, flags: [.request, .reply, .needReply], payloadByteCount: 2056)
        #expect(header.encoded == bytes)
        #expect(try MessageHeader(decoding: bytes) == header)
        #expect(header.flags.version == 1)
        #expect(MessageFlags.answer.rawValue == 5)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try MessageHeader(decoding: b) }
    }

    @Test func number() throws {
        let bytes: [UInt8] = [8, 7, 6, 5, 4, 3, 2, 1]
        #expect(UInt64(0x0102_0304_0506_0708).encodedPayload == bytes)
        #expect(try UInt64(decodingPayload: bytes) == 0x0102_0304_0506_0708)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try UInt64(decodingPayload: b) }
    }

    @Test func vringState() throws {
        let bytes: [UInt8] = [
            3, 0, 0, 0,  // index
            0, 4, 0, 0,  // num: 1024
        ]
        let state = VringState(ring: 3, number: 1024)
        #expect(state.encoded == bytes)
        #expect(try VringState(decoding: bytes) == state)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try VringState(decoding: b) }
    }

    @Test func vringAddresses() throws {
        let bytes =
            le32(1)  // index
            + le32(1)  // flags: log
            + le64(0x7f00_0000_1000)  // descriptor table
            + le64(0x7f00_0000_3000)  // used ring comes before
            + le64(0x7f00_0000_2000)  // the available ring
            + le64(0x9000)  // log address
        var addresses = VringAddresses(
            ring: 1, descriptorTable: 0x7f00_0000_1000, availableRing: 0x7f00_0000_2000,
            usedRing: 0x7f00_0000_3000)
        addresses.flags = VringAddresses.logFlag
        addresses.log = 0x9000
        #expect(addresses.encoded == bytes)
        #expect(try VringAddresses(decoding: bytes) == addresses)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try VringAddresses(decoding: b) }
    }

    @Test func vringNotifier() throws {
        let with: [UInt8] = [7, 0, 0, 0, 0, 0, 0, 0]  // ring 7, a descriptor follows
        let without: [UInt8] = [7, 1, 0, 0, 0, 0, 0, 0]  // bit 8: none
        #expect(VringNotifier(ring: 7, hasDescriptor: true).encoded == with)
        #expect(VringNotifier(ring: 7, hasDescriptor: false).encoded == without)
        #expect(try VringNotifier(decoding: with) == VringNotifier(ring: 7, hasDescriptor: true))
        #expect(try VringNotifier(decoding: without) == VringNotifier(ring: 7, hasDescriptor: false))
        expectExactSize(with) { (b) throws(VhostUserError) in _ = try VringNotifier(decoding: b) }
        for word: UInt64 in [0x200, 1 << 63, .max] {
            #expect(throws: VhostUserError.invalidValue) { try VringNotifier(decoding: le64(word)) }
        }
    }

    private let regionBytes =
        le64(0x1_0000_0000)  // guest address
        + le64(0x2000_0000)  // size
        + le64(0x7f12_0000_0000)  // user address
        + le64(0xc000_0000)  // mmap offset
    private let region = RegionDescription(
        guestAddress: 0x1_0000_0000, size: 0x2000_0000, userAddress: 0x7f12_0000_0000, fileOffset: 0xc000_0000
    )

    @Test func singleRegion() throws {
        let bytes = le64(0) + regionBytes  // 8 unused bytes
        #expect(region.encodedSingle == bytes)
        #expect(try RegionDescription(decodingSingle: bytes) == region)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try RegionDescription(decodingSingle: b) }
    }

    @Test func regionPlausibility() {
        #expect(region.isPlausible)
        #expect(RegionDescription(guestAddress: 0, size: .max, userAddress: 0, fileOffset: 0).isPlausible)
        #expect(!RegionDescription(guestAddress: 1, size: .max, userAddress: 0, fileOffset: 0).isPlausible)
        #expect(!RegionDescription(guestAddress: 0, size: .max, userAddress: 1, fileOffset: 0).isPlausible)
        #expect(!RegionDescription(guestAddress: 0, size: .max, userAddress: 0, fileOffset: 1).isPlausible)
        #expect(!RegionDescription(guestAddress: 0, size: 0, userAddress: 0, fileOffset: 0).isPlausible)
    }

    @Test func memoryTable() throws {
        let bytes = le32(2) + le32(0) + regionBytes + regionBytes  // count, padding, the regions
        let table = MemoryTable(regions: [region, region])
        #expect(table.encoded == bytes)
        #expect(try MemoryTable(decoding: bytes) == table)
        // UML: one region, two slots, 72 bytes.
        #expect(try MemoryTable(decoding: le32(1) + le32(0) + regionBytes + zeros(32)).regions == [region])
        // The specification's picture: always eight slots.
        #expect(try MemoryTable(decoding: le32(1) + le32(0) + regionBytes + zeros(224)).regions == [region])
        #expect(try MemoryTable(decoding: zeros(8)).regions == [])
    }

    @Test func memoryTableOfTheWrongSize() {
        let wrong: [[UInt8]] = [
            [], zeros(7), le32(1) + le32(0),  // no region where one is announced
            le32(1) + le32(0) + regionBytes.dropLast(), le32(1) + le32(0) + regionBytes + [0],
            le32(3) + le32(0) + regionBytes + regionBytes,
            le32(.max) + le32(0) + regionBytes,
            le32(9) + le32(0) + zeros(9 * 32),  // one more than there may be
        ]
        for bytes in wrong {
            #expect(throws: VhostUserError.payloadSize(bytes.count)) { try MemoryTable(decoding: bytes) }
        }
    }

    @Test func configuration() throws {
        let bytes =
            le32(36)  // offset
            + le32(4)  // size
            + le32(1)  // flags: migration
            + [1, 0, 0, 0]
        let window = ConfigurationWindow(offset: 36, bytes: [1, 0, 0, 0], flags: 1)
        #expect(window.encoded == bytes)
        #expect(try ConfigurationWindow(decoding: bytes) == window)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try ConfigurationWindow(decoding: b) }
        let largest = le32(0) + le32(256) + le32(0) + zeros(256)
        #expect(try ConfigurationWindow(decoding: largest).bytes.count == 256)
        for bytes in [le32(0) + le32(257) + le32(0) + zeros(257), le32(0) + le32(.max) + le32(0)] {
            #expect(throws: VhostUserError.payloadSize(bytes.count)) {
                try ConfigurationWindow(decoding: bytes)
            }
        }
    }

    @Test(arguments: [false, true]) func inflight(isPadded: Bool) throws {
        let bytes =
            le64(0x4040)  // mmap size
            + le64(0x1000)  // mmap offset
            + le16(2)  // queues
            + le16(128)  // queue size
            + zeros(isPadded ? 4 : 0)  // QEMU's C structure ends on 8 bytes
        let inflight = InflightDescription(
            mapByteCount: 0x4040, mapOffset: 0x1000, queueCount: 2, queueSize: 128, isPadded: isPadded)
        #expect(inflight.encoded == bytes)
        #expect(try InflightDescription(decoding: bytes) == inflight)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try InflightDescription(decoding: b) }
    }

    @Test func log() throws {
        let bytes = le64(0x8000) + le64(0x2000)  // mmap size, mmap offset
        let log = LogDescription(mapByteCount: 0x8000, mapOffset: 0x2000)
        #expect(log.encoded == bytes)
        #expect(try LogDescription(decoding: bytes) == log)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try LogDescription(decoding: b) }
    }

    @Test func deviceState() throws {
        let bytes = le32(1) + le32(0)  // direction: load; phase: stopped
        #expect(DeviceStateTransfer(direction: .load).encoded == bytes)
        #expect(try DeviceStateTransfer(decoding: bytes).direction == .load)
        #expect(try DeviceStateTransfer(decoding: zeros(8)).direction == .save)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try DeviceStateTransfer(decoding: b) }
        for bytes in [le32(2) + le32(0), le32(0) + le32(1)] {
            #expect(throws: VhostUserError.invalidValue) { try DeviceStateTransfer(decoding: bytes) }
        }
    }

    @Test func sharedMemoryMapping() throws {
        let bytes =
            [2] + zeros(7)  // region id, padding
            + le64(0x20_0000)  // file offset
            + le64(0x40_0000)  // offset in the region
            + le64(0x1000)  // length
            + le64(1)  // flags: writable
        let mapping = SharedMemoryMapping(
            regionID: 2, fileOffset: 0x20_0000, regionOffset: 0x40_0000, length: 0x1000,
            flags: SharedMemoryMapping.writableFlag)
        #expect(mapping.encoded == bytes)
        #expect(try SharedMemoryMapping(decoding: bytes) == mapping)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try SharedMemoryMapping(decoding: b) }
    }

    @Test func sharedMemorySizes() throws {
        let bytes =
            le32(2) + le32(0)  // regions that are not empty, padding
            + le64(0x400_0000) + le64(0) + le64(0x1000) + zeros(253 * 8)  // regions 0, 1, 2 and the other 253
        let sizes = SharedMemorySizes(sizes: [0x400_0000, 0, 0x1000])
        #expect(sizes.encoded == bytes)
        #expect(bytes.count == 2056)
        #expect(try SharedMemorySizes(decoding: bytes) == sizes)
        expectExactSize(bytes) { (b) throws(VhostUserError) in _ = try SharedMemorySizes(decoding: b) }
        #expect(throws: VhostUserError.invalidValue) {
            try SharedMemorySizes(decoding: le32(3) + bytes.dropFirst(4))
        }
        let full = SharedMemorySizes(sizes: [UInt64](repeating: 1, count: 300))
        #expect(full.sizes.count == 256)
        #expect(try SharedMemorySizes(decoding: full.encoded) == full)
    }

    @Test func requestNumbers() {
        #expect(FrontendRequest.allCases.map(\.rawValue) == Array(1...44))
        #expect(BackendRequest.allCases.map(\.rawValue) == Array(1...10))
        // The bits by which protocol.md §1.4 recommends our offers.
        let qemu: ProtocolFeatures = [
            .multiqueue, .replyAck, .backendChannel, .backendSendsDescriptors, .configureMemorySlots,
        ]
        #expect(qemu.rawValue == 0x8429)
        #expect(qemu.union([.configuration, .sharedMemory]).rawValue == 0x408629)
        let features: VirtioFeatures = [.version1, .protocolFeatures, .indirectDescriptors]
        #expect(features.rawValue == 0x1_5000_0000)
    }
}
