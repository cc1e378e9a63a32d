// SPDX-License-Identifier: Apache-2.0

/// What a READ comes to on the host: a pread(2) into the guest's pages.
public struct HostRead: Sendable {
    /// Open as long as the READ is handled.
    public let descriptor: Int32
    public let offset: Int
    /// At least 1.
    public let byteCount: Int

    public init(descriptor: Int32, offset: Int, byteCount: Int) {
        self.descriptor = descriptor
        self.offset = offset
        self.byteCount = byteCount
    }

    /// Whether `count` bytes may be less than there are: a read that stops before the end of the file stops at the end of a
    /// sector or page.
    public func mayGoOn(after count: Int) -> Bool {
        count > 0 && count < byteCount && (offset &+ count) % 512 == 0
    }
}
