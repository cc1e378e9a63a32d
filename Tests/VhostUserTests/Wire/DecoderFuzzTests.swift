// SPDX-License-Identifier: Apache-2.0
import MessageTools
import Testing

@testable import VhostUser

@Suite struct DecoderFuzzTests {
    /// What decodes encodes to the same bytes (but for padding and unused slots); nothing traps.
    @Test func randomPayloads() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        let sizes = [0, 7, 8, 8, 12, 16, 20, 24, 40, 40, 72, 264]
        for round in 0..<20_000 {
            var bytes = zeros(random.pick(sizes))
            for _ in 0..<min(bytes.count, 8) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            if !survives(bytes) { Issue.record("seed \(seed), round \(round): \(bytes)") }
        }
    }

    private func survives(_ bytes: [UInt8]) -> Bool {
        var same = true
        func check(_ encoded: [UInt8]?, from start: Int = 0, to end: Int = .max) {
            guard let encoded else { return }
            same = same && encoded[start..<min(end, encoded.count)] == bytes[start..<min(end, bytes.count)]
        }
        check(try? VringState(decoding: bytes).encoded)
        check(try? VringAddresses(decoding: bytes).encoded)
        check(try? VringNotifier(decoding: bytes).encoded)
        check(try? ConfigurationWindow(decoding: bytes).encoded)
        check(try? LogDescription(decoding: bytes).encoded)
        check(try? DeviceStateTransfer(decoding: bytes).encoded)
        check(try? RegionDescription(decodingSingle: bytes).encodedSingle, from: 8)
        check(try? InflightDescription(decoding: bytes).encoded, to: 20)
        check(try? SharedMemoryMapping(decoding: bytes).encoded, from: 8)
        for layout in [LegacyMapKind.Layout.arrays, .list] {
            if let message = try? LegacyMapMessage(decoding: bytes, as: layout) {
                same = same && message.entries.allSatisfy { $0.length > 0 }
            }
        }
        _ = LegacyMapKind(request: 6, payloadByteCount: bytes.count)
        if let table = try? MemoryTable(decoding: bytes) {
            same = same && (try? MemoryTable(decoding: table.encoded)) == table
            same = same && table.regions.count { $0.isPlausible } <= table.regions.count
        }
        return same
    }
}
