// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_attr`, 88 bytes.
package struct Attributes: BitwiseCopyable, Sendable {
    package var ino: UInt64 = 0
    package var size: UInt64 = 0
    package var blocks: UInt64 = 0
    package var atime: UInt64 = 0
    package var mtime: UInt64 = 0
    package var ctime: UInt64 = 0
    package var atimensec: UInt32 = 0
    package var mtimensec: UInt32 = 0
    package var ctimensec: UInt32 = 0
    package var mode: UInt32 = 0
    package var nlink: UInt32 = 0
    package var uid: UInt32 = 0
    package var gid: UInt32 = 0
    package var rdev: UInt32 = 0
    package var blksize: UInt32 = 0
    /// `AttributeFlags`.
    package var flags: UInt32 = 0
    package init() {}
}

/// `fuse_attr.flags`.
package enum AttributeFlags {
    /// FUSE_ATTR_SUBMOUNT (7.32): the directory is the root of another file system of the host.
    package static let submount: UInt32 = 1 << 0
    /// FUSE_ATTR_DAX (7.33).
    package static let dax: UInt32 = 1 << 1
}

/// `struct fuse_entry_out`, 128 bytes: answers LOOKUP and everything that makes a name.
package struct EntryOut: BitwiseCopyable, Sendable {
    /// Zero means "no such name", which the guest may remember for `entryValid`.
    package var nodeID: UInt64 = 0
    package var generation: UInt64 = 0
    package var entryValid: UInt64 = 0
    package var attrValid: UInt64 = 0
    package var entryValidNsec: UInt32 = 0
    package var attrValidNsec: UInt32 = 0
    package var attributes = Attributes()
    package init() {}
}

/// `struct fuse_attr_out`, 104 bytes.
package struct AttrOut: BitwiseCopyable, Sendable {
    package var attrValid: UInt64 = 0
    package var attrValidNsec: UInt32 = 0
    package var padding: UInt32 = 0
    package var attributes = Attributes()
    package init() {}
}

/// `struct fuse_getattr_in`, 16 bytes.
package struct GetAttrIn: BitwiseCopyable, Sendable {
    package var flags: UInt32 = 0
    package var padding: UInt32 = 0
    package var handle: UInt64 = 0
    package init() {}
    /// FUSE_GETATTR_FH: `handle` is valid.
    package static let hasHandle: UInt32 = 1 << 0
}

/// `struct fuse_setattr_in`, 88 bytes.
package struct SetAttrIn: BitwiseCopyable, Sendable {
    /// `SetAttrValid` bits: which of the fields are meant.
    package var valid: UInt32 = 0
    package var padding: UInt32 = 0
    package var handle: UInt64 = 0
    package var size: UInt64 = 0
    package var lockOwner: UInt64 = 0
    package var atime: UInt64 = 0
    package var mtime: UInt64 = 0
    package var ctime: UInt64 = 0
    package var atimensec: UInt32 = 0
    package var mtimensec: UInt32 = 0
    package var ctimensec: UInt32 = 0
    package var mode: UInt32 = 0
    package var unused4: UInt32 = 0
    package var uid: UInt32 = 0
    package var gid: UInt32 = 0
    package var unused5: UInt32 = 0
    package init() {}
}

/// FATTR_*: the bits of `SetAttrIn.valid`.
package enum SetAttrValid {
    package static let mode: UInt32 = 1 << 0
    package static let uid: UInt32 = 1 << 1
    package static let gid: UInt32 = 1 << 2
    package static let size: UInt32 = 1 << 3
    package static let atime: UInt32 = 1 << 4
    package static let mtime: UInt32 = 1 << 5
    package static let handle: UInt32 = 1 << 6
    package static let atimeNow: UInt32 = 1 << 7
    package static let mtimeNow: UInt32 = 1 << 8
    package static let lockOwner: UInt32 = 1 << 9
    package static let ctime: UInt32 = 1 << 10
    package static let killSuidGid: UInt32 = 1 << 11
}

/// `struct fuse_sx_time`, 16 bytes.
package struct StatxTime: BitwiseCopyable, Sendable {
    package var sec: Int64 = 0
    package var nsec: UInt32 = 0
    package var padding: Int32 = 0
    package init() {}
}

/// `struct fuse_statx`, 256 bytes.
package struct StatxAttributes: BitwiseCopyable, Sendable {
    package var mask: UInt32 = 0
    package var blksize: UInt32 = 0
    package var attributes: UInt64 = 0
    package var nlink: UInt32 = 0
    package var uid: UInt32 = 0
    package var gid: UInt32 = 0
    package var mode: UInt16 = 0
    package var padding: UInt16 = 0
    package var ino: UInt64 = 0
    package var size: UInt64 = 0
    package var blocks: UInt64 = 0
    package var attributesMask: UInt64 = 0
    package var atime = StatxTime()
    package var btime = StatxTime()
    package var ctime = StatxTime()
    package var mtime = StatxTime()
    package var rdevMajor: UInt32 = 0
    package var rdevMinor: UInt32 = 0
    package var devMajor: UInt32 = 0
    package var devMinor: UInt32 = 0
    package var spare: InlineArray<14, UInt64> = .init(repeating: 0)
    package init() {}
}

/// `struct fuse_statx_in`, 24 bytes (since 7.39).
package struct StatxIn: BitwiseCopyable, Sendable {
    package var getattrFlags: UInt32 = 0
    package var padding: UInt32 = 0
    package var handle: UInt64 = 0
    package var flags: UInt32 = 0
    package var mask: UInt32 = 0
    package init() {}
}

/// `struct fuse_statx_out`, 288 bytes (since 7.39).
package struct StatxOut: BitwiseCopyable, Sendable {
    package var attrValid: UInt64 = 0
    package var attrValidNsec: UInt32 = 0
    package var flags: UInt32 = 0
    package var spare: InlineArray<2, UInt64> = .init(repeating: 0)
    package var stat = StatxAttributes()
    package init() {}
}

/// `struct fuse_kstatfs`, 80 bytes: the body of `fuse_statfs_out`.
package struct StatFSOut: BitwiseCopyable, Sendable {
    package var blocks: UInt64 = 0
    package var bfree: UInt64 = 0
    package var bavail: UInt64 = 0
    package var files: UInt64 = 0
    package var ffree: UInt64 = 0
    package var bsize: UInt32 = 0
    package var namelen: UInt32 = 0
    package var frsize: UInt32 = 0
    package var padding: UInt32 = 0
    package var spare: InlineArray<6, UInt32> = .init(repeating: 0)
    package init() {}
}
