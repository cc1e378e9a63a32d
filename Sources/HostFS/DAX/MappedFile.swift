// SPDX-License-Identifier: Apache-2.0
import FuseServer
import HostOS

struct FileTime: Equatable {
    let seconds: Int64
    let nanoseconds: UInt32
}

extension FileStatus {
    var changeTime: FileTime {
        FileTime(seconds: raw.stx_ctime.tv_sec, nanoseconds: raw.stx_ctime.tv_nsec)
    }

    /// Where the last page of the file ends.
    var endOfPages: UInt64 { (raw.stx_size + 4095) & ~4095 }
}

/// Somebody else makes a file shorter: announced, and perhaps done.
struct Cut {
    /// No page at or behind this size is mapped. What the guest is told to be larger is mapped before.
    var limit: UInt64
    /// The file's size and time when this was announced, or after what the guest itself has changed since; nil: nobody could look.
    var size: UInt64?
    var changeTime: FileTime?
    /// Until when it may not have happened yet (`monotonicNanoseconds`).
    var settled: Int64

    /// Of a file that is shorter already than the guest may believe.
    static func done(_ limit: UInt64) -> Cut {
        Cut(limit: limit, size: nil, changeTime: nil, settled: monotonicNanoseconds())
    }

    /// Whether it has happened, so that the size in `status` counts. Linux gives files that somebody looks at a new time with each
    /// change (multigrain timestamps, 6.13); whoever was allowed to change it is not long about it.
    ///
    /// - Parameter change: what the guest has done since the file was looked at last.
    func isSettled(_ status: FileStatus, now: Int64, after change: GuestChange) -> Bool {
        if now >= settled { return true }
        let isShorter = status.raw.stx_size < size ?? 0
        return switch change {
        case .none: isShorter || changeTime.map { $0 != status.changeTime } ?? false
        case .growth: isShorter
        case .setting: false
        }
    }
}

/// What a guest changes in a file by itself: its new size and time are then no sign of what others do.
enum GuestChange {
    case none
    /// Data, and a larger size at most.
    case growth
    /// The size, or times.
    case setting
}

/// A file of which some chunk is in the window. Only under the window's lock.
final class MappedFile: @unchecked Sendable {
    // SAFETY: @unchecked because the variables are the window's, which has a lock.
    let key: FileKey
    /// O_RDWR, the file itself.
    let real: OwnedDescriptor
    /// The same data in a file that ends nowhere; nil: what is mapped is the file itself.
    private let endless: EndlessFile?
    /// How many chunks show it.
    var chunkCount = 0
    /// The version table says that it changes: the guest has asked to write it.
    var isAnnounced = false
    /// nil: the guest believes in no more than there is, and touches nothing behind the end.
    var cut: Cut?
    /// When to look next whether the file has really become shorter, and how often that was done.
    var nextLook: Int64?
    var lookCount = 0

    init(_ key: FileKey, _ real: consuming OwnedDescriptor, endless: EndlessFile?) {
        self.key = key
        self.real = real
        self.endless = endless
    }

    /// What is mapped.
    var shown: Int32 { endless?.descriptor.rawValue ?? real.rawValue }

    /// How much of the chunk at `offset` is the file's: the rest shows zeros.
    func byteCount(ofChunkAt offset: UInt64) -> UInt64 {
        guard let limit = cut?.limit, limit < offset + DAXWindow.chunkByteCount else {
            return DAXWindow.chunkByteCount
        }
        guard limit > offset else { return 0 }
        return (limit - offset + 4095) & ~4095
    }
}

/// What `MappableSource.open` has given.
final class EndlessFile: Sendable {
    let descriptor: OwnedDescriptor
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}
