// SPDX-License-Identifier: Apache-2.0

/// What a READ comes to on the host: a pread(2) into the guest's pages.
package struct HostRead: Sendable {
    /// Open as long as the READ is handled.
    package let descriptor: Int32
    package let offset: Int
    /// At least 1.
    package let byteCount: Int

    package init(descriptor: Int32, offset: Int, byteCount: Int) {
        self.descriptor = descriptor
        self.offset = offset
        self.byteCount = byteCount
    }

    /// Whether `count` bytes may be less than there are: a read that stops before the end of the file stops at the end of a
    /// sector or page.
    package func mayGoOn(after count: Int) -> Bool {
        count > 0 && count < byteCount && (offset &+ count) % 512 == 0
    }
}
