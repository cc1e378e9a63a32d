// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseServer
import Glibc

/// Walks a `DataVector` in pieces that one preadv(2) or pwritev(2) takes. Changes the vectors as it goes.
@safe struct VectorCursor {
    /// IOV_MAX of Linux.
    private static let maximum = 1024

    private var next: UnsafeMutablePointer<iovec>?
    private var left: Int

    init(_ data: DataVector) {
        // SAFETY: `DataVector.iovecs` is an array of `count` records laid out like iovec.
        unsafe next = data.iovecs?.assumingMemoryBound(to: iovec.self)
        left = unsafe next == nil ? 0 : data.count
    }

    /// What the next call takes; nil at the end.
    var piece: (vectors: UnsafePointer<iovec>, count: Int32)? {
        guard left > 0, let next = unsafe next else { return nil }
        return unsafe (UnsafePointer(next), Int32(truncatingIfNeeded: min(left, Self.maximum)))
    }

    /// Whether `piece` is everything that is left.
    var isLast: Bool { left <= Self.maximum }

    /// Passes over `count` bytes, and the empty vectors behind them.
    mutating func advance(by count: Int) {
        var count = count
        while left > 0, let vector = unsafe next {
            let length = unsafe vector.pointee.iov_len
            if count < length {
                if count > 0 {
                    unsafe vector.pointee.iov_base = vector.pointee.iov_base?.advanced(by: count)
                    unsafe vector.pointee.iov_len = length - count
                }
                return
            }
            count -= length
            left -= 1
            unsafe next = vector + 1
        }
    }
}
