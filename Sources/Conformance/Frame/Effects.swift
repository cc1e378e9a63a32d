// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Which of an object's times a call moves forward. What is not in the set must stay; of the access time nothing is
/// claimed, because mount options decide about it.
package struct Times: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    package static let access = Times(rawValue: 1)
    package static let modification = Times(rawValue: 2)
    package static let change = Times(rawValue: 4)
    /// What writing data or changing a directory's entries moves.
    package static let contents: Times = [.modification, .change]
    package static let none: Times = []
}

/// Makes `call` and expects its result and, of each path, exactly those times to move.
///
/// The paths must be there before and after; the call is made when the file system's clock has moved on, so that a time
/// that is set is seen to differ.
package func expect(
    _ call: Call, _ error: Errno? = nil, by user: User? = nil, moves effects: [(path: Path, times: Times)]
) throws {
    try expect(moves: effects, by: "\(call)") { try expect(call, error, by: user) }
}

/// The same of several steps that together are `what`.
package func expect(
    moves effects: [(path: Path, times: Times)], by what: String, _ steps: () throws -> Void
) throws {
    let before = try effects.map { try status($0.path) }
    try waitForClock()
    try steps()
    for (effect, before) in zip(effects, before) {
        let after = try status(effect.path)
        let seen: [(String, Times, Time, Time)] = [
            ("access", .access, before.access, after.access),
            ("modification", .modification, before.modification, after.modification),
            ("change", .change, before.change, after.change),
        ]
        for (word, time, old, new) in seen {
            if effect.times.contains(time) {
                try expect(
                    old < new,
                    "\(what) left the \(word) time of \(effect.path) at \(new), expected it to move")
            } else if time != .access {
                try expect(
                    old == new, "\(what) moved the \(word) time of \(effect.path), expected it to stay")
            }
        }
    }
}

/// Waits until an object that changes now gets another time than one that changed just before.
package func waitForClock() throws {
    let clock: Path = "../clock"
    func touch() throws -> Time {
        try expect(.utimensat(clock, nil))
        return try status(clock).change
    }
    let start = try touch()
    let deadline = Deadline(milliseconds: 5000)
    while try touch() == start {
        if deadline.hasPassed {
            throw Failure("the change time of a file that is touched again stays for 5 s")
        }
        usleep(500)
    }
}
