// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// How the guest memory of a mount is divided: buffers of one size, of which the first holds the FORGETs, then one for each lane
/// holds its slots, and the others are the pool.
struct BridgeMemory {
    /// The most data that one request or reply carries: 256 pages, which is what Linux allows unless told otherwise.
    static let dataByteCount = 1 << 20
    /// Descriptors in each ring. Requests that wait for a lock keep theirs, so it is not small.
    static let queueSize = 512

    let lanes: Int
    let threads: Int

    /// Two buffers for each thread to read with, and some that are under way on each lane.
    private var poolCount: Int { 2 * threads + 24 * lanes }

    var bufferCount: Int { 1 + lanes + poolCount }

    /// Where FORGETs lie.
    func forgets(_ buffers: [RAMBuffer]) -> RAMBuffer { buffers[0] }

    func slots(ofLane lane: Int, _ buffers: [RAMBuffer]) -> RAMBuffer { buffers[1 + lane] }

    func pool(_ buffers: [RAMBuffer]) -> BufferPool { BufferPool(Array(buffers[(1 + lanes)...])) }
}
