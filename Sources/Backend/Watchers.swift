// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How many workers watch their rings at the moment: at most half of the CPUs, for the guest needs the others.
final class Watchers: Sendable {
    private let count = Atomic<Int>(0)
    private let limit: Int

    init(cpus: Int) { limit = max(1, cpus / 2) }

    /// False when enough watch already.
    func enter() -> Bool {
        if count.add(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}
