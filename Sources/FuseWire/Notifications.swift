// SPDX-License-Identifier: Apache-2.0

/// FUSE_NOTIFY_*: what a file system tells the kernel unasked, in `OutHeader.error` with `unique` 0.
package enum NotificationCode {
    package static let invalidateInode: Int32 = 2
    /// 7.44 (Linux 6.16): all names that the kernel has cached are to be looked up again.
    package static let nextEpoch: Int32 = 8
}

/// `struct fuse_notify_inval_inode_out`, 24 bytes.
package struct InvalidateInodeOut: BitwiseCopyable, Sendable {
    package var nodeID: UInt64 = 0
    /// Negative: attributes and no data.
    package var offset: Int64 = 0
    package var length: Int64 = 0
    package init() {}
}
