// SPDX-License-Identifier: Apache-2.0
import HostOS
import Synchronization

/// The largest size that the guest may believe a file to have, of each file that it may map and knows.
///
/// A guest touches no page behind that size. Where it is no more than the file's own a chunk can be mapped whole; otherwise somebody
/// else has made the file shorter, perhaps while nothing of it was mapped and nobody was asked.
final class ToldSizes: Sendable {
    fileprivate struct Entry {
        var size: UInt64
        /// Some of it is mapped, or was since the guest knows the file.
        var isMapped = false
    }
    private let entries = Mutex<[FileKey: Entry]>([:])

    /// What a size that the guest hears of is to the one before.
    enum News {
        /// No more than before, or of a file that is not remembered.
        case none
        /// More than before, and some of the file may be mapped.
        case moreOfMapped
        /// Less than what the guest may believe in.
        case less
    }

    /// The guest is about to be told of a file's size, and may map the file.
    func note(_ key: FileKey, _ size: UInt64) -> News {
        entries.withLock { $0[key, default: Entry(size: 0)].note(size) }
    }

    /// The guest has made the file reach to `end` at least. Nothing happens to a file that it may not map.
    func grow(_ key: FileKey, _ end: UInt64) -> News {
        entries.withLock { $0[key]?.note(end) } ?? .none
    }

    /// Some of the file is about to be mapped. What comes back is to be compared with a size that is looked at afterwards; who tells the
    /// guest of a larger one meanwhile learns that he has to look too.
    ///
    /// - Returns: `UInt64.max` for a file of which nothing is remembered, until the guest forgets it.
    func willMap(_ key: FileKey) -> UInt64 {
        entries.withLock { entries in
            entries[key, default: Entry(size: .max)].isMapped = true
            return entries[key]?.size ?? .max
        }
    }

    /// nil: nothing is remembered.
    func size(of key: FileKey) -> UInt64? { entries.withLock { $0[key]?.size } }

    /// The guest knows where the file ends: by what it has done itself.
    func settle(_ key: FileKey, _ size: UInt64) {
        entries.withLock { $0[key]?.size = size }
    }

    /// The guest has forgotten the file.
    func remove(_ key: FileKey) { entries.withLock { _ = $0.removeValue(forKey: key) } }

    func removeAll() { entries.withLock { $0.removeAll() } }
}

extension ToldSizes.Entry {
    fileprivate mutating func note(_ new: UInt64) -> ToldSizes.News {
        if new < size { return .less }
        if new == size { return .none }
        size = new
        return isMapped ? .moreOfMapped : .none
    }
}
