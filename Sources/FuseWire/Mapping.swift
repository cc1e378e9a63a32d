// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_setupmapping_in`, 40 bytes: a piece of a file that is to appear in the device's DAX window.
public struct SetupMappingIn: BitwiseCopyable, Sendable {
    /// Linux says ~0: the request's nodeid is what counts.
    public var handle: UInt64 = 0
    public var fileOffset: UInt64 = 0
    public var length: UInt64 = 0
    public var flags: UInt64 = 0
    public var windowOffset: UInt64 = 0
    public init() {}

    public static let write: UInt64 = 1 << 0
    public static let read: UInt64 = 1 << 1
}

/// `struct fuse_removemapping_one`, 16 bytes; as many follow a le32 count, unaligned.
public struct RemoveMappingOne: BitwiseCopyable, Sendable {
    public var windowOffset: UInt64 = 0
    public var length: UInt64 = 0
    public init() {}
}
