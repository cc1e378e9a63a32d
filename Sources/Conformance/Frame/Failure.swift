// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// What a check throws when the file system did something else than it should: what was seen and what was expected.
package struct Failure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// The same, said of a part of what was done: "as the stranger: …".
    func within(_ part: String) -> Failure { Failure("\(part): \(description)") }
}

/// What a check throws when the file system or the process has no such thing, so that nothing can be said.
package struct Unsupported: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// The name of an error number: "ENOENT".
package func name(of error: Errno) -> String {
    // SAFETY: strerrorname_np returns a constant C string, or NULL for a number without a name.
    guard let text = unsafe strerrorname_np(error.rawValue) else { return "error \(error.rawValue)" }
    return unsafe String(cString: text)
}

/// Four digits as chmod(1) takes them: "0755".
func octal(_ mode: UInt32) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

/// Throws `reason` unless `condition` holds: for what the `expect` functions have no words for.
package func expect(_ condition: Bool, _ reason: @autoclosure () -> String) throws {
    if !condition { throw Failure(reason()) }
}

/// Expects two values to be the same; `what` names the seen one: "read(2) at the end of the file".
package func expect<Value: Equatable>(_ what: String, gives expected: Value, _ seen: Value) throws {
    if seen != expected { throw Failure("\(what) gave \(seen), expected \(expected)") }
}

/// Runs a part of a check; `part` goes in front of its failure: one row of a table.
package func when<Result>(_ part: @autoclosure () -> String, _ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let failure as Failure { throw failure.within(part()) }
}
