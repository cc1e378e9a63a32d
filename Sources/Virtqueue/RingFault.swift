// SPDX-License-Identifier: Apache-2.0

/// What the other side of a ring did wrong. The ring cannot be used any more: after a bad index or descriptor there is
/// no telling which requests were meant.
public enum RingFault: Error, Hashable, Sendable, CaseIterable {
    // Seen by the device.

    /// The available index ran ahead by more than the queue size.
    case availableIndexJumped
    /// The driver made more chains available than it has descriptors, without waiting for any to be used.
    case tooManyInFlight
    /// An available entry names a descriptor outside the table.
    case headOutOfRange
    /// A `next` field names a descriptor outside its table.
    case descriptorOutOfRange
    /// More descriptors than the table has: a loop.
    case chainTooLong
    /// More pieces of memory than a `Chain` holds.
    case tooManyVectors
    /// More than 2^32 bytes (virtio 1.3 §2.7.5.2).
    case lengthOverflow
    /// A device-readable descriptor after a device-writable one (§2.7.4.2).
    case readableAfterWritable
    /// A descriptor or indirect table that does not lie in guest memory.
    case addressOutsideMemory
    /// An indirect descriptor although VIRTIO_F_INDIRECT_DESC was not negotiated.
    case indirectNotNegotiated
    /// An indirect descriptor inside an indirect table (§2.7.5.3.1).
    case nestedIndirect
    /// An indirect descriptor that has a next one (§2.7.5.3.1).
    case indirectWithNext
    /// An indirect table that is empty, not a multiple of 16 bytes, or longer than
    /// `DeviceQueue.maximumIndirectDescriptors`.
    case badIndirectTableSize

    // Seen by the driver.

    /// The used index ran ahead of the chains that were made available.
    case usedIndexJumped
    /// A used element names a chain that is not with the device.
    case unknownUsedElement
    /// A used element claims more bytes than the chain has writable.
    case usedLengthTooLong
}
