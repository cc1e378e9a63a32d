// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// One line of a user namespace's uid_map or gid_map: `count` ids from `inside` on are those from `outside` on of its parent.
package struct IDMap: Sendable, Equatable {
    package let inside: UInt32
    package let outside: UInt32
    package let count: UInt32

    package init(inside: UInt32, outside: UInt32, count: UInt32) {
        self.inside = inside
        self.outside = outside
        self.count = count
    }

    /// Reads `:INSIDE:OUTSIDE:COUNT:`, where any character may stand for the colon.
    ///
    /// - Parameter spelled: the option and its value, for the error.
    package init(_ text: String, spelled: String) throws(StartupError) {
        func refusal(_ reason: String) -> StartupError {
            StartupError(
                operation: "use", subject: spelled, reason: reason,
                hint: "write :INSIDE:OUTSIDE:COUNT: with numbers below 4294967295, such as :0:1000:1:")
        }
        guard let delimiter = text.first, text.last == delimiter, !delimiter.isNumber else {
            throw refusal("not a map of ids")
        }
        let parts = text.split(separator: delimiter, omittingEmptySubsequences: false)
        guard parts.count == 5 else { throw refusal("not a map of ids") }
        var numbers: [UInt32] = []
        for part in parts[1...3] {
            let isDigits = !part.isEmpty && part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
            guard isDigits else { throw refusal("not a map of ids") }
            guard let number = UInt32(part) else { throw refusal("a number is out of range") }
            numbers.append(number)
        }
        self.init(inside: numbers[0], outside: numbers[1], count: numbers[2])
        // The last id is no id: it means "unchanged" to chown(2).
        guard count > 0, fits(inside), fits(outside) else {
            throw refusal("a number is out of range")
        }
    }

    /// Whether the ids that begin with `first` end before 4294967295.
    private func fits(_ first: UInt32) -> Bool { !first.addingReportingOverflow(count).overflow }

    /// Whether `id` of the namespace means something.
    func maps(_ id: UInt32) -> Bool { id >= inside && id - inside < count }
    /// Whether `id` of the parent namespace has a number inside.
    func reaches(_ id: UInt32) -> Bool { id >= outside && id - outside < count }

    /// As uid_map and newuidmap take it.
    var words: [String] { ["\(inside)", "\(outside)", "\(count)"] }
}
