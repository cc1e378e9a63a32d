// SPDX-License-Identifier: Apache-2.0

/// `nodeid` of the FUSE protocol: slot (low 32 bits) and generation (high 32 bits) of an inode record. Root is 1.
package struct NodeID: Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    /// FUSE_ROOT_ID: known to the guest from the start, never forgotten.
    package static let root = NodeID(rawValue: 1)
}

/// `fh` of the FUSE protocol: slot (low 32 bits) and generation (high 32 bits) of a handle record.
package struct HandleID: Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// `unique` of the FUSE protocol: names one request until it is answered.
package struct Unique: Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}
