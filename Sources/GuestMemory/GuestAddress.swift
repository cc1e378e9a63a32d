// SPDX-License-Identifier: Apache-2.0

/// A guest-physical address: what descriptors carry. Not to be mixed up with the VMM's own virtual addresses
/// ("user addresses"), in which vhost-user names the rings.
public struct GuestAddress: Hashable, Comparable, Sendable {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (a: GuestAddress, b: GuestAddress) -> Bool { a.rawValue < b.rawValue }

    /// This address plus `byteCount`; nil when that leaves the 64-bit address space or `byteCount` is negative.
    public func advanced(by byteCount: Int) -> GuestAddress? {
        guard let distance = UInt64(exactly: byteCount) else { return nil }
        let (sum, overflow) = rawValue.addingReportingOverflow(distance)
        return overflow ? nil : GuestAddress(sum)
    }
}
