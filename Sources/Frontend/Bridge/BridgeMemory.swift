// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// How the guest memory of a mount is divided: buffers of one size, of which the first holds the FORGETs, then for each lane
/// one that holds its slots and some that are its pool.
struct BridgeMemory {
    /// The most data that one request or reply carries: 256 pages, which is what Linux allows unless told otherwise.
    static let dataByteCount = 1 << 20
    /// Descriptors in each ring. Requests that wait for a lock keep theirs, so it is not small.
    static let queueSize = 512

    let lanes: Int
    let threads: Int

    /// Buffers of one lane: two for each thread to read with, and some that are under way.
    private var poolCount: Int { 2 * ((threads + lanes - 1) / lanes) + 24 }

    var bufferCount: Int { 1 + lanes * (1 + poolCount) }

    /// Where FORGETs lie.
    func forgets(_ buffers: [RAMBuffer]) -> RAMBuffer { buffers[0] }

    func slots(ofLane lane: Int, _ buffers: [RAMBuffer]) -> RAMBuffer { buffers[1 + lane * (1 + poolCount)] }

    func pool(ofLane lane: Int, _ buffers: [RAMBuffer]) -> [RAMBuffer] {
        let first = 2 + lane * (1 + poolCount)
        return Array(buffers[first..<(first + poolCount)])
    }
}
