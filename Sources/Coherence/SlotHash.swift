// SPDX-License-Identifier: Apache-2.0
import HostOS

/// From the identity of an object to its slot, by SipHash-2-4 (Aumasson and Bernstein) with the table's key.
///
/// Keyed, so that whoever may name files cannot choose which of them share a slot.
package struct SlotHash: Sendable, Equatable {
    private let low: UInt64
    private let high: UInt64
    private let slots: UInt32

    /// - Parameters:
    ///   - low, high: the key's 16 bytes as two little-endian words.
    ///   - slots: how many there are.
    package init(low: UInt64, high: UInt64, slots: UInt32) {
        self.low = low
        self.high = high
        self.slots = slots
    }

    package func slot(of key: FileKey) -> UInt32 {
        UInt32(((hash(key.device, key.number) >> 32) &* UInt64(slots)) >> 32)
    }

    /// Of the 16 bytes of two little-endian words.
    func hash(_ first: UInt64, _ second: UInt64) -> UInt64 {
        var state = State(low, high)
        state.absorb(first)
        state.absorb(second)
        state.absorb(16 << 56)  // the length, and no bytes left over
        return state.finish()
    }

    private struct State {
        var (a, b, c, d): (UInt64, UInt64, UInt64, UInt64)

        init(_ low: UInt64, _ high: UInt64) {
            a = low ^ 0x736f_6d65_7073_6575
            b = high ^ 0x646f_7261_6e64_6f6d
            c = low ^ 0x6c79_6765_6e65_7261
            d = high ^ 0x7465_6462_7974_6573
        }

        private mutating func round() {
            a = a &+ b
            b = rotate(b, 13) ^ a
            a = rotate(a, 32)
            c = c &+ d
            d = rotate(d, 16) ^ c
            a = a &+ d
            d = rotate(d, 21) ^ a
            c = c &+ b
            b = rotate(b, 17) ^ c
            c = rotate(c, 32)
        }

        private func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
            value << bits | value >> (64 - bits)
        }

        mutating func absorb(_ word: UInt64) {
            d ^= word
            round()
            round()
            a ^= word
        }

        mutating func finish() -> UInt64 {
            c ^= 0xff
            for _ in 0..<4 { round() }
            return a ^ b ^ c ^ d
        }
    }
}
