// SPDX-License-Identifier: Apache-2.0

/// What tells a file from all others of the host for as long as somebody has it open: afterwards its number may be another's.
package struct FileKey: Hashable, Sendable {
    /// Major number << 32 | minor number, as `FileStatus.device`.
    package let device: UInt64
    /// The inode's.
    package let number: UInt64

    package init(device: UInt64, number: UInt64) {
        self.device = device
        self.number = number
    }

    package init(_ status: FileStatus) { self.init(device: status.device, number: status.raw.stx_ino) }
}
