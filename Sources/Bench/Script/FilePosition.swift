// SPDX-License-Identifier: Apache-2.0

/// Where a lane's READs and WRITEs go: the same places in every run, each lane beginning at its own.
struct FilePosition {
    private var offset: UInt64
    private var random: UInt64

    init(lane index: Int) {
        offset = UInt64(index) * (5 << 20) % Script.fileByteCount
        random = 0x9e37_79b9_7f4a_7c15 &* UInt64(index + 1)
    }

    /// The byte at which a READ or WRITE of `size` bytes begins.
    mutating func next(_ place: Place, size: UInt32) -> UInt64 {
        switch place {
        case .at(let offset): return offset
        case .random:
            // xorshift64 (Marsaglia).
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return random % (Script.fileByteCount / UInt64(size)) * UInt64(size)
        case .next:
            defer { offset = (offset + UInt64(size)) % Script.fileByteCount }
            return offset
        }
    }
}
