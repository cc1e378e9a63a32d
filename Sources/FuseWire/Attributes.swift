// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_attr`, 88 bytes.
public struct Attributes: BitwiseCopyable, Sendable {
    public var ino: UInt64 = 0
    public var size: UInt64 = 0
    public var blocks: UInt64 = 0
    public var atime: UInt64 = 0
    public var mtime: UInt64 = 0
    public var ctime: UInt64 = 0
    public var atimensec: UInt32 = 0
    public var mtimensec: UInt32 = 0
    public var ctimensec: UInt32 = 0
    public var mode: UInt32 = 0
    public var nlink: UInt32 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var rdev: UInt32 = 0
    public var blksize: UInt32 = 0
    /// `AttributeFlags`.
    public var flags: UInt32 = 0
    @inlinable public init() {}
}

/// `fuse_attr.flags`.
public enum AttributeFlags {
    /// FUSE_ATTR_SUBMOUNT (7.32): the directory is the root of another file system of the host.
    public static let submount: UInt32 = 1 << 0
    /// FUSE_ATTR_DAX (7.33).
    public static let dax: UInt32 = 1 << 1
}

/// `struct fuse_entry_out`, 128 bytes: answers LOOKUP and everything that makes a name.
public struct EntryOut: BitwiseCopyable, Sendable {
    /// Zero means "no such name", which the guest may remember for `entryValid`.
    public var nodeID: UInt64 = 0
    public var generation: UInt64 = 0
    public var entryValid: UInt64 = 0
    public var attrValid: UInt64 = 0
    public var entryValidNsec: UInt32 = 0
    public var attrValidNsec: UInt32 = 0
    public var attributes = Attributes()
    @inlinable public init() {}
}

/// `struct fuse_attr_out`, 104 bytes.
public struct AttrOut: BitwiseCopyable, Sendable {
    public var attrValid: UInt64 = 0
    public var attrValidNsec: UInt32 = 0
    public var padding: UInt32 = 0
    public var attributes = Attributes()
    @inlinable public init() {}
}

/// `struct fuse_getattr_in`, 16 bytes.
public struct GetAttrIn: BitwiseCopyable, Sendable {
    public var flags: UInt32 = 0
    public var padding: UInt32 = 0
    public var handle: UInt64 = 0
    public init() {}
    /// FUSE_GETATTR_FH: `handle` is valid.
    public static let hasHandle: UInt32 = 1 << 0
}

/// `struct fuse_setattr_in`, 88 bytes.
public struct SetAttrIn: BitwiseCopyable, Sendable {
    /// `SetAttrValid` bits: which of the fields are meant.
    public var valid: UInt32 = 0
    public var padding: UInt32 = 0
    public var handle: UInt64 = 0
    public var size: UInt64 = 0
    public var lockOwner: UInt64 = 0
    public var atime: UInt64 = 0
    public var mtime: UInt64 = 0
    public var ctime: UInt64 = 0
    public var atimensec: UInt32 = 0
    public var mtimensec: UInt32 = 0
    public var ctimensec: UInt32 = 0
    public var mode: UInt32 = 0
    public var unused4: UInt32 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var unused5: UInt32 = 0
    public init() {}
}

/// FATTR_*: the bits of `SetAttrIn.valid`.
public enum SetAttrValid {
    public static let mode: UInt32 = 1 << 0
    public static let uid: UInt32 = 1 << 1
    public static let gid: UInt32 = 1 << 2
    public static let size: UInt32 = 1 << 3
    public static let atime: UInt32 = 1 << 4
    public static let mtime: UInt32 = 1 << 5
    public static let handle: UInt32 = 1 << 6
    public static let atimeNow: UInt32 = 1 << 7
    public static let mtimeNow: UInt32 = 1 << 8
    public static let lockOwner: UInt32 = 1 << 9
    public static let ctime: UInt32 = 1 << 10
    public static let killSuidGid: UInt32 = 1 << 11
}

/// `struct fuse_sx_time`, 16 bytes.
public struct StatxTime: BitwiseCopyable, Sendable {
    public var sec: Int64 = 0
    public var nsec: UInt32 = 0
    public var padding: Int32 = 0
    public init() {}
}

/// `struct fuse_statx`, 256 bytes.
public struct StatxAttributes: BitwiseCopyable, Sendable {
    public var mask: UInt32 = 0
    public var blksize: UInt32 = 0
    public var attributes: UInt64 = 0
    public var nlink: UInt32 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var mode: UInt16 = 0
    public var padding: UInt16 = 0
    public var ino: UInt64 = 0
    public var size: UInt64 = 0
    public var blocks: UInt64 = 0
    public var attributesMask: UInt64 = 0
    public var atime = StatxTime()
    public var btime = StatxTime()
    public var ctime = StatxTime()
    public var mtime = StatxTime()
    public var rdevMajor: UInt32 = 0
    public var rdevMinor: UInt32 = 0
    public var devMajor: UInt32 = 0
    public var devMinor: UInt32 = 0
    public var spare: InlineArray<14, UInt64> = .init(repeating: 0)
    public init() {}
}

/// `struct fuse_statx_in`, 24 bytes (since 7.39).
public struct StatxIn: BitwiseCopyable, Sendable {
    public var getattrFlags: UInt32 = 0
    public var padding: UInt32 = 0
    public var handle: UInt64 = 0
    public var flags: UInt32 = 0
    public var mask: UInt32 = 0
    public init() {}
}

/// `struct fuse_statx_out`, 288 bytes (since 7.39).
public struct StatxOut: BitwiseCopyable, Sendable {
    public var attrValid: UInt64 = 0
    public var attrValidNsec: UInt32 = 0
    public var flags: UInt32 = 0
    public var spare: InlineArray<2, UInt64> = .init(repeating: 0)
    public var stat = StatxAttributes()
    public init() {}
}

/// `struct fuse_kstatfs`, 80 bytes: the body of `fuse_statfs_out`.
public struct StatFSOut: BitwiseCopyable, Sendable {
    public var blocks: UInt64 = 0
    public var bfree: UInt64 = 0
    public var bavail: UInt64 = 0
    public var files: UInt64 = 0
    public var ffree: UInt64 = 0
    public var bsize: UInt32 = 0
    public var namelen: UInt32 = 0
    public var frsize: UInt32 = 0
    public var padding: UInt32 = 0
    public var spare: InlineArray<6, UInt32> = .init(repeating: 0)
    public init() {}
}
