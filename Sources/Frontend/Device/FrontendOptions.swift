// SPDX-License-Identifier: Apache-2.0
import VhostUser

/// How a front-end sets its device up.
package struct FrontendOptions: Sendable {
    /// Queues beside the hiprio queue.
    package var requestQueues = 1
    /// Descriptors in each ring: a power of two.
    package var queueSize = 256
    /// Messages that can be outstanding on each queue; 0 for a caller that uses the chain queues and `buffers` only.
    package var depth = 16
    /// Pieces of guest memory for the caller to use, and how many bytes each has (rounded up to pages).
    package var bufferCount = 0
    package var bufferByteCount = 1 << 20
    /// Taken where the back-end offers them.
    package var features: VirtioFeatures = [.version1, .eventIndex, .indirectDescriptors]
    package var protocolFeatures: ProtocolFeatures = [
        .multiqueue, .replyAck, .configureMemorySlots, .resetDevice, .configuration,
    ]
    /// To be added to `protocolFeatures` by a caller that serves the back-end's own requests (`DeviceFrontend.channel`).
    package static let channelFeatures: ProtocolFeatures = [
        .backendChannel, .backendSendsDescriptors, .sharedMemory,
    ]
    /// The size of the DAX window for back-ends that have a channel and cannot tell (those from before SHMEM); 0: none.
    package var legacyWindowByteCount: UInt64 = 0
    /// Tells the back-end by ADD_MEM_REG of every piece that it has mapped, as QEMU does; the session may be used by the
    /// thread that serves the channel then, too.
    package var announcesPieces = false
    package var guestBase: UInt64 = 0
    /// What stands for our own address of the guest's first byte.
    package var userBase: UInt64 = 0x7000_0000_0000
    /// Cuts guest memory into regions of this size, a multiple of 64 KiB; nil for one region.
    package var regionByteCount: Int?
    /// The longest request and the longest reply, in bytes: 1 MiB of data and what goes with it.
    package var requestByteCount = 1 << 20 + 8192
    package var replyByteCount = 1 << 20 + 8192
    /// How long to wait for an answer to a vhost-user message, in milliseconds.
    package var replyTimeout: Int32 = 30_000

    package init() {}
}
