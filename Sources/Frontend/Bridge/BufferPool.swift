// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The big buffers of a mount, for the data of requests and replies on any lane.
final class BufferPool: Sendable {
    private let buffers: [RAMBuffer]
    private let free: Mutex<[Int]>

    /// - Parameter buffers: of `BridgeMemory.dataByteCount` bytes each.
    init(_ buffers: [RAMBuffer]) {
        self.buffers = buffers
        free = Mutex(buffers.indices.reversed())
    }

    subscript(number: Int) -> RAMBuffer { buffers[number] }

    /// Completes a reader's two buffers as far as there are any.
    ///
    /// - Returns: whether both are there.
    func provide(_ hand: inout BufferHand) -> Bool {
        if hand.isComplete { return true }
        return free.withLock { free in
            if hand.reading < 0, let buffer = free.popLast() { hand.reading = buffer }
            if hand.spare < 0, let buffer = free.popLast() { hand.spare = buffer }
            return hand.isComplete
        }
    }

    /// Takes the buffers of a request back that has been answered.
    func giveBack(_ request: LaneRequest) {
        if request.requestBuffer < 0 && request.replyBuffer < 0 { return }
        free.withLock { free in
            if request.requestBuffer >= 0 { free.append(request.requestBuffer) }
            if request.replyBuffer >= 0 { free.append(request.replyBuffer) }
        }
    }
}

/// The two buffers that a reader holds before it reads a request: one to read into, and one in case the reply is long.
struct BufferHand {
    var reading = -1
    var spare = -1
    var isComplete: Bool { reading >= 0 && spare >= 0 }
}
