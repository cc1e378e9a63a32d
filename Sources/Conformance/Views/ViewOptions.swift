// SPDX-License-Identifier: Apache-2.0

/// What `conformance views` was asked for.
package struct ViewOptions: Equatable, Sendable {
    /// The directory by each of its ways.
    package var views: [String] = []
    /// Where the host itself changes it; nil: it does not.
    package var host: String?
    /// The version table by which the mounts hear of the host's changes; nil: they do not.
    package var table: String?
    package var operations = 100_000
    package var seed: UInt64 = 1
    package var threads = 5

    package static let usage = """
        Usage: conformance views [--host DIR [--version-table FILE]] [--operations N] [--seed S] [--threads N] DIR DIR...
        Changes and looks at one directory by several ways, which are mounts of it, and says when one of them shows what is no longer so.
          --host DIR            the directory itself, where this host changes it
          --version-table FILE  what the mounts follow: a change of the host's counts as done when its journal has told a later one
                                and all mounts have read that far (without it, at once)
          --operations N        how many in all (100000)
          --seed S              of the random choices (1)
          --threads N           at the same time (5)
        Exit status: 0 nothing stale, 1 something stale, 2 bad usage.
        """

    package init() {}

    /// - Returns: nil for a command line that means nothing.
    package init?(_ arguments: [String]) {
        var rest = arguments[...]
        func number<Number: FixedWidthInteger>(_ range: ClosedRange<Number>) -> Number? {
            rest.popFirst().flatMap { Number($0) }.flatMap { range ~= $0 ? $0 : nil }
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--host":
                guard let value = rest.popFirst() else { return nil }
                host = value
            case "--version-table":
                guard let value = rest.popFirst() else { return nil }
                table = value
            case "--operations":
                guard let value = number(1...1_000_000_000) else { return nil }
                operations = value
            case "--seed":
                guard let value = number(0...UInt64.max) else { return nil }
                seed = value
            case "--threads":
                guard let value = number(1...64) else { return nil }
                threads = value
            default:
                if argument.hasPrefix("-") { return nil }
                views.append(argument)
            }
        }
        if views.count < 2 || (table != nil && host == nil) { return nil }
    }
}
