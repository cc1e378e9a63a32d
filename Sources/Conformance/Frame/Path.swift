// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// A path as the kernel takes it: bytes, relative to the check's own directory unless it begins with a slash.
package struct Path: Sendable, Hashable, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// With its NUL; nil for a pointer to memory that is not there.
    private let characters: [CChar]?

    package init(_ bytes: some Sequence<UInt8>) { characters = bytes.map { CChar(bitPattern: $0) } + [0] }

    package init(stringLiteral text: String) { self.init(text.utf8) }

    private init() { characters = nil }

    /// A pointer that no process can read: for EFAULT.
    package static let nowhere = Path()

    /// A name of one component with `count` bytes.
    package static func name(byteCount count: Int) -> Path {
        Path(repeatElement(UInt8(ascii: "n"), count: count))
    }

    /// A path of `count` bytes that leads to `last`, through "./" and slashes: PATH_MAX counts the NUL.
    package static func roundabout(to last: Path, byteCount count: Int) -> Path {
        let room = max(0, count - last.bytes.count)
        var bytes: [UInt8] = []
        for _ in 0..<room / 2 { bytes += [UInt8(ascii: "."), UInt8(ascii: "/")] }
        if room % 2 == 1 { bytes.append(UInt8(ascii: "/")) }
        return Path(bytes + last.bytes)
    }

    /// Without the NUL; empty for `nowhere`.
    package var bytes: [UInt8] { characters?.dropLast().map { UInt8(bitPattern: $0) } ?? [] }

    package static func / (directory: Path, name: Path) -> Path {
        Path(directory.bytes + [UInt8(ascii: "/")] + name.bytes)
    }

    /// As it is shown in failures.
    package var description: String {
        guard characters != nil else { return "a bad pointer" }
        let bytes = bytes
        if bytes.isEmpty { return "\"\"" }
        return bytes.count <= 64 ? escaped(bytes) : "\(escaped(bytes, limit: 16)) (\(bytes.count) bytes)"
    }

    /// Gives `body` the NUL-terminated bytes for the time of the call.
    package func withPointer<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        guard let characters else {
            // SAFETY: the first page is never mapped; only the kernel is given this address, and says EFAULT.
            guard let bad = unsafe UnsafePointer<CChar>(bitPattern: 8) else { preconditionFailure() }
            return unsafe body(bad)
        }
        return unsafe characters.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure() }
            return unsafe body(base)
        }
    }
}
