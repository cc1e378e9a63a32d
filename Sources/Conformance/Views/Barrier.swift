// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// Tells when all mounts know what this host has changed: whoever shows a change shows those before it.
struct Barrier {
    private let name: String
    private var count = 0

    init(_ name: String) { self.name = name }

    /// Changes a file on the host, and waits until every way shows it.
    mutating func pass(host: String, views: [String]) throws(Failure) {
        count += 1
        let path = "\(host)/\(name)"
        let number = try Field.system("open", path) { unsafe open($0, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644) }
        let result = ftruncate(number, count)
        _ = close(number)
        guard result == 0 else { throw Failure("truncate \(path): errno \(errno)") }
        let deadline = Deadline(milliseconds: 10_000)
        for view in views {
            while true {
                var status = stat()
                if unsafe stat("\(view)/\(name)", &status) == 0, status.st_size >= count { break }
                if deadline.hasPassed { throw Failure("\(view) does not show what the host has changed") }
                sched_yield()
            }
        }
    }
}
