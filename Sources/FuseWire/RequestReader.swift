// SPDX-License-Identifier: Apache-2.0

/// A cursor over the private copy of one request: hands out its parts in order and never reaches beyond the end.
///
/// The pointers that it gives are valid as long as the copy is.
@safe public struct RequestReader {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    @usableFromInline var position = 0

    public init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    @inlinable public var remaining: Int { unsafe bytes.count - position }

    /// The next `count` bytes.
    public mutating func take(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw .shortBody }
        defer { position += count }
        // SAFETY: the range lies inside `bytes`, as just checked.
        return unsafe UnsafeRawBufferPointer(
            start: bytes.baseAddress.map { unsafe $0 + position }, count: count)
    }

    /// The next fixed-size struct, of integers: every bit pattern is a value.
    @inlinable public mutating func take<T: BitwiseCopyable>(_ type: T.Type) throws(WireError) -> T {
        guard MemoryLayout<T>.size <= remaining, let start = unsafe bytes.baseAddress else {
            throw .shortBody
        }
        defer { position += MemoryLayout<T>.size }
        // SAFETY: the range lies inside `bytes`, as just checked.
        return unsafe (start + position).loadUnaligned(as: T.self)
    }

    /// Everything that is left.
    public mutating func rest() -> UnsafeRawBufferPointer {
        defer { position = unsafe bytes.count }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[position...])
    }

    /// Ends the request: nothing may be left, as Linux sends no byte too many.
    @inlinable public func end() throws(WireError) {
        if remaining != 0 { throw .trailingBytes }
    }

    /// A byte string of at most `maximum` bytes and its NUL, which is skipped and lies right behind the result.
    public mutating func string(maximum: Int, tooLong: WireError) throws(WireError) -> UnsafeRawBufferPointer
    {
        let limit = min(remaining, maximum + 1)
        var length = 0
        // SAFETY: position + length < bytes.count, because length < limit ≤ remaining.
        while length < limit, unsafe bytes[position + length] != 0 { length += 1 }
        guard length < limit else { throw remaining > maximum ? tooLong : .missingNUL }
        defer { position += 1 }
        return try unsafe take(length)
    }

    /// One component of a path, and whether it is "." or "..". Never empty, never with a "/", at most NAME_MAX bytes.
    public mutating func component() throws(WireError) -> (
        bytes: UnsafeRawBufferPointer, special: SpecialName?
    ) {
        let bytes = try unsafe string(maximum: Self.maximumNameByteCount, tooLong: .longName)
        if unsafe bytes.isEmpty { throw .badName }
        for index in 0..<bytes.count where unsafe bytes[index] == UInt8(ascii: "/") { throw .badName }
        let dots =
            unsafe bytes.count <= 2 && bytes[0] == UInt8(ascii: ".") && bytes[bytes.count - 1] == bytes[0]
        return unsafe (bytes, dots ? (bytes.count == 1 ? .current : .parent) : nil)
    }

    /// The name of a directory's entry: a component that is neither "." nor "..".
    public mutating func name() throws(WireError) -> UnsafeRawBufferPointer {
        let component = try unsafe component()
        guard unsafe component.special == nil else { throw .badName }
        return unsafe component.bytes
    }

    /// NAME_MAX of Linux.
    public static let maximumNameByteCount = 255
    /// PATH_MAX of Linux, without the NUL: the longest target of a symbolic link.
    public static let maximumTargetByteCount = 4095
    /// XATTR_NAME_MAX of Linux.
    public static let maximumXattrNameByteCount = 255
    /// XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux.
    public static let maximumXattrValueByteCount = 65536
}

/// The components that name no entry.
public enum SpecialName: Sendable {
    /// "."
    case current
    /// ".."
    case parent
}
