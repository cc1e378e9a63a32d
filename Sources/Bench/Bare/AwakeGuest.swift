// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// A thread that waits awake for an interrupt that never comes, as the load generator does beside a daemon.
///
/// Two CPUs that share a core, or a budget of the machine that they are part of, are each slower while both are busy.
final class AwakeGuest: Sendable {
    private let isOver = Atomic<Bool>(false)

    /// Carries out `body` beside such a thread.
    static func beside<Result>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
        let guest = AwakeGuest()
        let interrupt = try EventFD()
        let thread = try Thread(name: "awake") {
            while !guest.isOver.load(ordering: .relaxed) {
                _ = waitReadable(interrupt.descriptor.rawValue, timeoutMilliseconds: 0)
            }
        }
        defer {
            guest.isOver.store(true, ordering: .relaxed)
            thread.join()
        }
        return try body()
    }
}
