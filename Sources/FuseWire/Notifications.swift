// SPDX-License-Identifier: Apache-2.0

/// FUSE_NOTIFY_*: what a file system tells the kernel unasked, in `OutHeader.error` with `unique` 0.
public enum NotificationCode {
    public static let invalidateInode: Int32 = 2
    /// 7.44 (Linux 6.16): all names that the kernel has cached are to be looked up again.
    public static let nextEpoch: Int32 = 8
}

/// `struct fuse_notify_inval_inode_out`, 24 bytes.
public struct InvalidateInodeOut: BitwiseCopyable, Sendable {
    public var nodeID: UInt64 = 0
    /// Negative: attributes and no data.
    public var offset: Int64 = 0
    public var length: Int64 = 0
    public init() {}
}
