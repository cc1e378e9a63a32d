// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// What a back-end's reply is worth. The back-end is not trusted: whatever it wrote, the kernel gets an answer.
enum ReplyVerdict: Equatable, Sendable {
    /// A negative error number that the kernel takes.
    case failure(Int32)
    /// So many bytes behind the header.
    case success(byteCount: Int)
    /// Nonsense; the caller gets EIO.
    case broken

    /// - Parameters:
    ///   - header: a private copy of the reply's first bytes.
    ///   - written: `used.len` of the chain.
    ///   - unique: the request's.
    init(header: OutHeader, written: Int, unique: UInt64, shape: ReplyShape) {
        let size = MemoryLayout<OutHeader>.size
        guard written >= size, header.length == written, header.unique == unique,
            header.error <= 0, header.error > -512, written - size <= shape.room
        else {
            self = .broken
            return
        }
        self = header.error == 0 ? .success(byteCount: written - size) : .failure(header.error)
    }
}
