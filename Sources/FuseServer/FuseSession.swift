// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Synchronization

/// What the guest and the daemon agreed on by INIT: shared by the workers, and by the processes that may follow this one.
///
/// It is a record of three words in shared memory. They are atomics because INIT comes on one queue and every other queue
/// reads its outcome: the words of the agreement are written first and published by a release of the phase, which readers
/// acquire before anything else. The guest sends nothing else before it has seen the INIT reply, so an agreement that
/// changes under a running request only ever happens to a hostile guest, and then each word is still one that was
/// negotiated. An `UnsafePointer<Atomic>` is a plain load on this memory; a lock would not survive the death of its owner.
@safe public final class FuseSession: Sendable {
    /// The size of the record, which is aligned to eight bytes and, when new, all zero.
    public static let byteCount = 24

    private nonisolated(unsafe) let words: UnsafePointer<Atomic<UInt64>>
    /// Of this process's workers, for people: no part of the record.
    private let counts = Mutex<[RequestCounts]>([])

    private enum Phase {
        static let none: UInt64 = 0
        static let changing: UInt64 = 1
        static let running: UInt64 = 2
    }

    /// Takes up the session that `record` holds, which must outlive this object.
    public init(record: UnsafeMutableRawPointer) {
        // SAFETY: Atomic<UInt64> is laid out like UInt64, and only accessed as such from here on.
        unsafe words = UnsafePointer(record.assumingMemoryBound(to: Atomic<UInt64>.self))
    }

    /// The counts of one more worker.
    func makeCounts() -> RequestCounts {
        let made = RequestCounts()
        counts.withLock { $0.append(made) }
        return made
    }

    var countedWorkers: [RequestCounts] { counts.withLock { $0 } }

    /// Between INIT and DESTROY.
    public var isRunning: Bool { unsafe words[0].load(ordering: .acquiring) == Phase.running }
    /// FUSE minor: the smaller of the guest's and ours.
    public var minor: UInt32 {
        UInt32(truncatingIfNeeded: unsafe words[1].load(ordering: .relaxed))
    }
    /// In bytes: the most that one WRITE may carry.
    public var maxWrite: UInt32 {
        UInt32(truncatingIfNeeded: unsafe words[1].load(ordering: .relaxed) >> 32)
    }
    /// `InitFlags` that both sides agreed on.
    public var flags: UInt64 { unsafe words[2].load(ordering: .relaxed) }

    /// Takes the right to change the session; false while another worker has it.
    func beginChange() -> Bool {
        let phase = unsafe words[0].load(ordering: .acquiring)
        guard phase != Phase.changing else { return false }
        return unsafe words[0].compareExchange(
            expected: phase, desired: Phase.changing, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Ends a change: requests are served under this agreement.
    func start(minor: UInt32, flags: UInt64, maxWrite: UInt32) {
        unsafe words[1].store(UInt64(maxWrite) << 32 | UInt64(minor), ordering: .relaxed)
        unsafe words[2].store(flags, ordering: .relaxed)
        unsafe words[0].store(Phase.running, ordering: .releasing)
    }

    /// Ends a change, or a session whose guest is gone: every request but INIT is refused. Also frees a session that a
    /// process left in the middle of a change.
    public func stop() { unsafe words[0].store(Phase.none, ordering: .releasing) }
}
