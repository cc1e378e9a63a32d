// SPDX-License-Identifier: Apache-2.0
import GuestMemory
import Virtqueue

/// How long a request and a reply may be, in bytes.
struct SlotCapacity {
    var request: Int
    var reply: Int
}

/// Where a queue's memory lies, decided before the memory exists.
struct QueuePlan {
    let index: Int
    let size: Int
    let capacity: SlotCapacity
    let ring: GuestAddress
    let slots: [(request: GuestAddress, reply: GuestAddress, table: GuestAddress)]

    /// Room for 1024 descriptors: 1 MiB in pages each way, headers, and more than enough.
    static let tableByteCount = 16 * 1024

    init(index: Int, size: Int, depth: Int, capacity: SlotCapacity, from allocator: inout GuestAllocator) {
        self.index = index
        self.size = size
        self.capacity = capacity
        ring = allocator.take(RingLayout.contiguousByteCount(size), alignment: 64, contiguous: true)
        slots = (0..<depth).map { _ in
            (
                request: allocator.take(capacity.request), reply: allocator.take(capacity.reply),
                table: allocator.take(Self.tableByteCount, contiguous: true)
            )
        }
    }
}
