// SPDX-License-Identifier: Apache-2.0
import HostOS
import Synchronization

/// What the threads of a mount share.
struct BridgeParts: Sendable {
    let lanes: [Lane]
    let pool: BufferPool
    let forgets: ForgetQueue
    let interrupts: Interrupts
    /// A thread's from reading a request until that is on its ring.
    let turn = Turn()
    /// Readable when all threads are to end.
    let stop: EventFD
    /// What is read without the daemon; nil where no window is used.
    var reads: MappedReads?
    /// Has the kernel keep what nobody changes; nil where the daemon says how long.
    var cache: KernelCache?

    /// Where all requests about one object go, in the order in which the kernel has sent them. Linux drops a cached page whose
    /// WRITE is still on its way when the file has changed otherwise; a READ of it that overtook the WRITE would bring back old
    /// bytes, which then stay in the cache.
    func lane(of node: UInt64) -> Lane {
        // Nodeids may be addresses, of which the low bits say nothing.
        lanes[Int(truncatingIfNeeded: (node &* 0x9e37_79b9_7f4a_7c15) >> 33) % lanes.count]
    }
}

final class Turn: Sendable {
    private let mutex = Mutex<Void>(())

    func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        try mutex.withLock { _ throws(Failure) in try body() }
    }
}
