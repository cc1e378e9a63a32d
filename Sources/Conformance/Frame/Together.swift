// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

/// A part of a check that runs on a thread of its own, in the same working directory.
package final class Aside: Sendable {
    private final class Result: Sendable {
        let error = Mutex<(any Error)?>(nil)
    }

    private let result = Result()
    private let ended: EventFD
    private let thread: Thread

    package init(_ body: @escaping @Sendable () throws -> Void) throws {
        let (result, ended) = (result, try EventFD())
        self.ended = ended
        thread = try Thread(name: "aside") {
            do { try body() } catch { result.error.withLock { $0 = error } }
            ended.signal()
        }
    }

    /// Whether it comes to its end within the time.
    package func ends(within milliseconds: Int32) -> Bool {
        waitReadable(ended.descriptor.rawValue, until: Deadline(milliseconds: milliseconds))
    }

    /// Waits for the end, and throws what it threw. Once.
    package func join() throws {
        thread.join()
        if let error = result.error.withLock({ $0 }) { throw error }
    }
}

/// How many threads have come to the start.
private final class Start: Sendable {
    let count = Atomic(0)
}

/// Runs `body` on `count` threads that begin together, and waits for all; throws what one of them threw.
package func together(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let start = Start()
    let parts = try (0..<count).map { index in
        try Aside {
            start.count.add(1, ordering: .relaxed)
            while start.count.load(ordering: .relaxed) < count { sched_yield() }
            try body(index)
        }
    }
    var failure: (any Error)?
    for part in parts { do { try part.join() } catch { failure = error } }
    if let failure { throw failure }
}

/// A number that threads of a check count up.
package final class Tally: Sendable {
    private let number = Atomic(0)

    package init() {}
    package func add() { number.add(1, ordering: .relaxed) }
    package var value: Int { number.load(ordering: .relaxed) }
}
