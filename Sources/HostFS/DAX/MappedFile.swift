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
}

/// Somebody else makes a file shorter: announced, and perhaps done.
struct Cut {
    /// No page at or behind this size is mapped. What the guest is told to be larger is mapped before.
    var limit: UInt64
    /// The file's when this was announced; nil: nobody could look.
    let changeTime: FileTime?
    /// Until when it may not have happened yet (`monotonicNanoseconds`).
    let settled: Int64

    /// Whether it has happened, so that the size in `status` counts. Linux gives files that somebody looks at a new time with each
    /// change (multigrain timestamps, 6.13); whoever was allowed to change it is not long about it.
    func isSettled(_ status: FileStatus, now: Int64) -> Bool {
        now >= settled || changeTime.map { $0 != status.changeTime } ?? false
    }
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
    /// nil: the guest knows all sizes that it had, and touches nothing behind the end.
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
