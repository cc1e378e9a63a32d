// SPDX-License-Identifier: Apache-2.0

/// `nodeid` of the FUSE protocol: slot (low 32 bits) and generation (high 32 bits) of an inode record. Root is 1.
public struct NodeID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// FUSE_ROOT_ID: known to the guest from the start, never forgotten.
    public static let root = NodeID(rawValue: 1)
}

/// `fh` of the FUSE protocol: slot (low 32 bits) and generation (high 32 bits) of a handle record.
public struct HandleID: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// `unique` of the FUSE protocol: names one request until it is answered.
public struct Unique: Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
