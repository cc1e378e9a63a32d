// SPDX-License-Identifier: Apache-2.0

/// `struct fuse_setupmapping_in`, 40 bytes: a piece of a file that is to appear in the device's DAX window.
package struct SetupMappingIn: BitwiseCopyable, Sendable {
    /// Linux says ~0: the request's nodeid is what counts.
    package var handle: UInt64 = 0
    package var fileOffset: UInt64 = 0
    package var length: UInt64 = 0
    package var flags: UInt64 = 0
    package var windowOffset: UInt64 = 0
    package init() {}

    package static let write: UInt64 = 1 << 0
    package static let read: UInt64 = 1 << 1
}

/// `struct fuse_removemapping_one`, 16 bytes; as many follow a le32 count, unaligned.
package struct RemoveMappingOne: BitwiseCopyable, Sendable {
    package var windowOffset: UInt64 = 0
    package var length: UInt64 = 0
    package init() {}
}
