// SPDX-License-Identifier: Apache-2.0
import VhostUser

/// What the guest sees of a device and what stays the same as long as it lives.
package struct DeviceShape: Sendable {
    /// The name by which the guest mounts it: 1 to 36 bytes (virtio 1.3 §5.11.4).
    let tag: [UInt8]
    let requestQueues: Int
    /// The most descriptors in each ring: a power of two.
    let queueSize: Int
    /// Offered to the driver.
    let features: VirtioFeatures
    /// The memory file of the version table and the journal; nil for neither.
    let tables: TableMemory?
    /// The size of the DAX window in bytes, which the guest reaches through us; nil for none.
    let windowByteCount: UInt64?

    /// - Throws: `noTag` when neither the options nor the daemon have a usable tag; what asking the daemon fails with.
    init(_ options: DeviceOptions, of link: DaemonLink) throws(VhostUserError) {
        if let wanted = options.tag {
            tag = Array(wanted.utf8)
        } else {
            tag = Array((try link.configuration() ?? []).prefix(36).prefix { $0 != 0 })
        }
        guard !tag.isEmpty, tag.count <= 36 else { throw .noTag }
        requestQueues = options.requestQueues
        queueSize = options.queueSize
        features = link.session.offeredFeatures.intersection([.version1, .eventIndex, .indirectDescriptors])
        tables = options.tables
        windowByteCount = options.windowByteCount
    }

    /// For tests and fuzzers of a device without a daemon.
    package init(
        tag: String, requestQueues: Int, queueSize: Int, features: VirtioFeatures, tables: TableMemory? = nil,
        windowByteCount: UInt64? = nil
    ) {
        self.tag = Array(tag.utf8)
        self.requestQueues = requestQueues
        self.queueSize = queueSize
        self.features = features
        self.tables = tables
        self.windowByteCount = windowByteCount
    }

    /// With the hiprio queue.
    var queueCount: Int { 1 + requestQueues }
    /// One for each queue, and the first for changes of the configuration.
    var vectorCount: Int { 1 + queueCount }

    /// `struct virtio_fs_config` (virtio 1.3 §5.11.4): the tag, padded with zeros, and the number of request queues.
    var configuration: [UInt8] {
        let padded = tag.prefix(36) + [UInt8](repeating: 0, count: max(0, 36 - tag.count))
        return Array(padded) + bytes(of: UInt32(requestQueues))
    }
}

/// The bytes of a number in the order of PCI and virtio.
func bytes<T: FixedWidthInteger>(of number: T) -> [UInt8] {
    (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: number >> T($0 * 8)) }
}

/// The number in up to eight little-endian bytes.
func number(_ bytes: some Collection<UInt8>) -> UInt64 {
    bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
