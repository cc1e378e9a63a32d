// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

extension HostFS {
    /// Attributes of a moment at which nobody was changing the object, for a front-end that follows the version table; others
    /// get what `look` sees first.
    ///
    /// A kernel drops the pages of a file whose time of modification is another than before. A write sets that time first and then the
    /// data: who was told of the new time in between could read the old data, and would then keep them.
    func settled(_ look: () throws(Errno) -> FileStatus) throws(Errno) -> FileStatus {
        var status = try look()
        guard let changes = share.changes, tellsSlots || share.sharedCaches != nil else { return status }
        let table = changes.table
        let slot = table.slot(of: FileKey(status))
        if changes.isWrittenElsewhere(slot) {
            // Each time another, so that nobody keeps data.
            let round = share.unsettled.add(1, ordering: .relaxed).newValue
            status.raw.stx_mtime.tv_nsec ^= UInt32(truncatingIfNeeded: round & 63)
            return status
        }
        guard tellsSlots else { return status }
        let ownChange = ownChange | table.lastingWriters
        for round in 0..<Self.rounds {
            if !table.isChanging(slot, besides: ownChange) { return status }
            // A change takes microseconds, or as long as others need to forget what they have cached.
            if round > 20 { _ = waitReadable(-1, timeoutMilliseconds: 1) }
            status = try look()
        }
        // Its writer has died, or is held up. A nanosecond away from the truth, so that the next answer is another.
        status.raw.stx_mtime.tv_nsec ^= 1
        return status
    }

    private static let rounds = 50
}
