// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Synchronization

/// The current memory table, handed from the control thread to the workers without stopping them.
///
/// A worker compares `version` once per batch and takes the new snapshot only when it changed; the old one stays mapped
/// until the last batch that uses it is over.
final class MemoryPublication: Sendable {
    private let current: Mutex<GuestMemory>
    private let counter = Atomic<UInt64>(1)

    init(_ memory: GuestMemory) { current = Mutex(memory) }

    /// Changes with every `replace`.
    var version: UInt64 { counter.load(ordering: .acquiring) }

    var latest: GuestMemory { current.withLock { $0 } }

    func replace(_ memory: GuestMemory) {
        current.withLock { $0 = memory }
        counter.add(1, ordering: .releasing)
    }
}
