// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Virtqueue

/// How a request and the room for its reply are cut into descriptors. Its meaning must not depend on it
/// (virtio 1.3 §2.7.4).
package enum Framing: Sendable, CaseIterable {
    /// As Linux does: headers, arguments and every page of bulk data in descriptors of their own.
    case linux
    /// One descriptor for each direction.
    case single
    /// Pieces of odd sizes that respect no boundary.
    case scattered

    private static let pageByteCount = 4096
    /// Sizes of the first pieces of `scattered`; after them, each has one byte less than a page.
    private static let oddSizes = [1, 7, 3, 13, 31, 5, 127, 509]

    /// Appends the pieces of one direction, which lies at `base`: a header, then arguments up to `dataOffset`, then
    /// bulk data.
    func append(
        base: GuestAddress, headerByteCount: Int, dataOffset: Int, byteCount: Int,
        to buffers: inout [GuestBuffer]
    ) {
        var offset = 0
        var index = 0
        while offset < byteCount {
            let length: Int
            switch self {
            case .single: length = byteCount
            case .scattered:
                length = index < Self.oddSizes.count ? Self.oddSizes[index] : Self.pageByteCount - 1
            case .linux:
                if offset < min(headerByteCount, dataOffset) {
                    length = headerByteCount
                } else {
                    length = offset < dataOffset ? dataOffset - offset : Self.pageByteCount
                }
            }
            let piece = min(length, byteCount - offset)
            if let address = base.advanced(by: offset) {
                buffers.append(GuestBuffer(address, byteCount: UInt32(clamping: piece)))
            }
            offset += piece
            index += 1
        }
    }
}
