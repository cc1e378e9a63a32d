// SPDX-License-Identifier: Apache-2.0
import Errors

/// What the virtio-fs device looks like to a front-end.
package struct DeviceConfiguration: Sendable {
    /// The mount tag, 1…36 bytes of UTF-8; nil when the VMM knows it from its own command line.
    package var tag: [UInt8]?
    /// Request queues beside the hiprio queue, 1…64.
    package var requestQueueCount: Int
    /// The most threads for requests that wait for a disk, at least 1.
    package var waitingThreadCount: Int
    /// Called on each worker's thread when it has all that it needs, before it serves: to give up what it will not need. What
    /// it throws is thrown by the device's `init`. The threads that a worker starts inherit what it has left.
    package var confineThread: @Sendable () throws(Errno) -> Void
    /// How much the guest may use at a time.
    package var limits = RequestLimits()

    package static let defaultWaitingThreads = 8

    package init(
        tag: [UInt8]?, requestQueueCount: Int, waitingThreadCount: Int = defaultWaitingThreads,
        confineThread: @escaping @Sendable () throws(Errno) -> Void = {}
    ) {
        self.tag = tag
        self.requestQueueCount = requestQueueCount
        self.waitingThreadCount = waitingThreadCount
        self.confineThread = confineThread
    }

    /// The largest `requestQueueCount`; UML has room for 64 rings in all, Linux for more than any machine needs.
    package static let maximumRequestQueues = 64
    /// The largest ring a front-end may set up: QEMU's VIRTQUEUE_MAX_SIZE.
    package static let maximumRingSize = 1024

    /// `struct virtio_fs_config` (virtio 1.3 §5.11.4): tag[36], padded with zeros, then le32 num_request_queues.
    var space: [UInt8] {
        var bytes = Array((tag ?? []).prefix(36))
        bytes += [UInt8](repeating: 0, count: 36 - bytes.count)
        let count = UInt32(clamping: requestQueueCount)
        for shift: UInt32 in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
        return bytes
    }
}
