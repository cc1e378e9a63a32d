// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_in_header`, 40 bytes: begins every request.
public struct InHeader: BitwiseCopyable, Sendable {
    public var length: UInt32 = 0
    public var opcode: UInt32 = 0
    public var unique: UInt64 = 0
    public var nodeID: UInt64 = 0
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var pid: UInt32 = 0
    /// Length of the extensions at the end of the body, in units of eight bytes (since 7.38).
    public var totalExtensionLength: UInt16 = 0
    public var padding: UInt16 = 0
    public init() {}
}

/// `struct fuse_out_header`, 16 bytes: begins every reply.
public struct OutHeader: BitwiseCopyable, Sendable {
    public var length: UInt32 = 0
    /// Zero or a negative error number, −511…0.
    public var error: Int32 = 0
    public var unique: UInt64 = 0
    public init() {}
}
