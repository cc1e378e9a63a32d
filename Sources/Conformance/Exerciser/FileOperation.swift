// SPDX-License-Identifier: Apache-2.0

/// One operation on a file; what it does follows from these values and the file alone.
package struct FileOperation: Equatable, Sendable, CustomStringConvertible {
    package enum Kind: String, CaseIterable, Sendable {
        case read, pread, write, pwrite, append, truncate
        case allocate, allocateKeepingSize, punchHole, zeroRange
        case mapRead, mapWrite, mapWriteSynchronously, heldMapRead, heldMapWrite
        case copyRange, directRead, directWrite
        case synchronize, synchronizeData, status, links, holes
        /// Closes the file and opens it again; where it has no name any more, writes it anew.
        case reopen
        case rename, unlink, replace
    }

    package var kind: Kind
    /// In bytes; of `truncate`: the new size.
    package var offset = 0
    package var count = 0
    /// Of `copyRange`: where the bytes go to; of what writes: where its bytes are in the pool.
    package var other = 0

    package var description: String {
        switch kind {
        case .truncate: "truncate to \(offset)"
        case .append: "append \(count) bytes"
        case .copyRange: "copyRange \(offset)..<\(offset + count) to \(other)"
        case .synchronize, .synchronizeData, .status, .links, .reopen, .rename, .unlink, .replace:
            kind.rawValue
        case .holes: "holes from \(offset)"
        default: "\(kind.rawValue) \(offset)..<\(offset + count)"
        }
    }
}
