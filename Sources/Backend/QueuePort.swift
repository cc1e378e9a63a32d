// SPDX-License-Identifier: Apache-2.0

/// One virtqueue as the front-end reaches it: its number and its three eventfds. The control thread sets them, the
/// queue's worker uses them.
final class QueuePort: Sendable {
    /// Number of the virtqueue: 0 is hiprio.
    let index: Int
    let kick = StableDescriptor()
    let call = StableDescriptor()
    let error = StableDescriptor()

    init(index: Int) { self.index = index }

    var name: String { index == 0 ? "hiprio" : "requests.\(index - 1)" }

    /// Nobody is at the other end any more.
    func disconnect() {
        try? kick.disconnect()
        try? call.disconnect()
        try? error.disconnect()
    }
}
