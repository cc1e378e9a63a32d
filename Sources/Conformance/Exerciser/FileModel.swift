// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// What a file has to hold: its bytes in memory.
///
/// Bytes behind `size` are always zero, so that a file that grows finds them so.
@safe struct FileModel: ~Copyable {
    let bytes: Mapping
    private(set) var size: Int
    private(set) var hasName = true

    init(limit: Int, size: Int) throws(Errno) {
        bytes = try Mapping(anonymous: limit)
        self.size = size
    }

    /// Does what `operation` has to do; `data` is what it writes. Returns the number that the operation has to return.
    mutating func perform(_ operation: FileOperation, data: UnsafeRawPointer) -> Int {
        let offset = operation.offset
        let count = operation.count
        switch operation.kind {
        case .read, .pread, .directRead, .mapRead, .heldMapRead: return max(0, min(count, size - offset))
        case .write, .pwrite, .append, .directWrite, .mapWrite, .mapWriteSynchronously, .heldMapWrite:
            unsafe memcpy(bytes.base + offset, data, count)
            if count > 0 { size = max(size, offset + count) }
            return count
        case .truncate:
            clear(offset..<max(size, offset))
            size = offset
        case .allocate: size = max(size, offset + count)
        case .zeroRange:
            clear(offset..<offset + count)
            size = max(size, offset + count)
        case .punchHole: clear(offset..<min(offset + count, max(size, offset)))
        case .copyRange:
            unsafe memmove(bytes.base + operation.other, bytes.base + offset, count)
            if count > 0 { size = max(size, operation.other + count) }
            return count
        case .status: return size
        case .links: return hasName ? 1 : 0
        case .reopen: hasName = true
        case .unlink, .replace: hasName = false
        case .allocateKeepingSize, .synchronize, .synchronizeData, .holes, .rename: break
        }
        return 0
    }

    private func clear(_ range: Range<Int>) { unsafe memset(bytes.base + range.lowerBound, 0, range.count) }

    /// The first byte of `range` that is not zero, or nil.
    func firstData(in range: Range<Int>) -> Int? {
        range.first { unsafe bytes.base.load(fromByteOffset: $0, as: UInt8.self) != 0 }
    }
}
