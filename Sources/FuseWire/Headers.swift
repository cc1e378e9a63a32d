// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_in_header`, 40 bytes: begins every request.
package struct InHeader: BitwiseCopyable, Sendable {
    package var length: UInt32 = 0
    package var opcode: UInt32 = 0
    package var unique: UInt64 = 0
    package var nodeID: UInt64 = 0
    package var uid: UInt32 = 0
    package var gid: UInt32 = 0
    package var pid: UInt32 = 0
    /// Length of the extensions at the end of the body, in units of eight bytes (since 7.38).
    package var totalExtensionLength: UInt16 = 0
    package var padding: UInt16 = 0
    package init() {}
}

/// `struct fuse_out_header`, 16 bytes: begins every reply.
package struct OutHeader: BitwiseCopyable, Sendable {
    package var length: UInt32 = 0
    /// Zero or a negative error number, −511…0.
    package var error: Int32 = 0
    package var unique: UInt64 = 0
    package init() {}
}
