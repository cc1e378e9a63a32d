// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// One system call with its operands, not yet made: what `expect` makes and, if it must, names in a failure.
package struct Call: Sendable, CustomStringConvertible {
    /// "link(a, b)"
    package let description: String
    private let body: @Sendable () -> Int32

    /// - Parameter body: makes the call once and returns what it returned, −1 with `errno` on failure.
    package init(_ description: String, _ body: @escaping @Sendable () -> Int32) {
        self.description = description
        self.body = body
    }

    /// Makes the call; the number is a descriptor, which the caller closes, or 0.
    package func callAsFunction() throws(Errno) -> Int32 { try systemCall(body) }
}

/// Expects `call` to succeed, or to fail with `error`, in the words of a failure: "link(a, b) gave ENOENT, expected EEXIST".
/// A descriptor that it returns is closed.
///
/// - Parameter user: who makes it, on a thread of its own; nil: the calling thread.
package func expect(_ call: Call, _ error: Errno? = nil, by user: User? = nil) throws {
    guard let user else { return try expect(call, oneOf: error.map { [$0] } ?? []) }
    try by(user) { try expect(call, oneOf: error.map { [$0] } ?? []) }
}

/// Expects `call` to fail with one of several errors, where the standard leaves the choice; none: to succeed.
package func expect(_ call: Call, oneOf errors: [Errno]) throws {
    let expected = errors.isEmpty ? "success" : errors.map(name(of:)).joined(separator: " or ")
    do throws(Errno) {
        let result = try call()
        if result > 2 && call.returnsDescriptor { _ = close(result) }
        if !errors.isEmpty { throw .expectedFailure }
    } catch .expectedFailure {
        throw Failure("\(call) succeeded, expected \(expected)")
    } catch {
        if !errors.contains(error) { throw Failure("\(call) gave \(name(of: error)), expected \(expected)") }
    }
}

extension Call {
    /// Whether the result is a descriptor: of open(2) and its kin.
    fileprivate var returnsDescriptor: Bool { description.hasPrefix("open") }
}

extension Errno {
    /// No error number of Linux: a success where there should be none.
    fileprivate static let expectedFailure = Errno(rawValue: 0)
}

/// Opens `path` for the time of `body`.
package func opened<Result>(
    _ path: Path, _ flags: Int32, mode: mode_t = 0o644, _ body: (Int32) throws -> Result
) throws -> Result {
    let call = Call.open(path, flags, mode)
    let descriptor: OwnedDescriptor
    do throws(Errno) { descriptor = OwnedDescriptor(adopting: try call()) } catch {
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
    return try body(descriptor.rawValue)
}
