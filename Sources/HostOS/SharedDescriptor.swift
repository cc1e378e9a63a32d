// SPDX-License-Identifier: Apache-2.0
import Errors

/// A file descriptor with several owners, closed when the last of them lets go.
public final class SharedDescriptor: Sendable {
    private let descriptor: OwnedDescriptor

    public init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    /// The number; valid as long as somebody owns this.
    public var rawValue: Int32 { descriptor.rawValue }

    /// A second descriptor of the same open file description.
    public func duplicate() throws(Errno) -> OwnedDescriptor { try descriptor.duplicate() }
}
