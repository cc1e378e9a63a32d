// SPDX-License-Identifier: Apache-2.0

/// What a user wants of a device.
package struct DeviceOptions: Sendable {
    /// The vectors of the queues, and one for changes of the configuration, must fit the MSI-X table of 2 KiB.
    package static let maximumRequestQueues = 64
    /// The name by which the guest mounts it, 1 to 36 bytes; nil: the daemon's own.
    package var tag: String?
    package var requestQueues = 1
    /// The most descriptors in each ring: a power of two up to 1024.
    package var queueSize = 1024
    /// The version table and the journal, shared memory regions 1 and 2.
    package var tables: TableMemory?
    /// The size of the DAX window, which must be the daemon's, in bytes; nil: the guest sees none.
    package var windowByteCount: UInt64?

    /// How long a mount waits for a daemon that has died to come back before it fails, in milliseconds.
    package var mountPatience: Int32 = 10_000

    package init() {}
}
