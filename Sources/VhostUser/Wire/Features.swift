// SPDX-License-Identifier: Apache-2.0

/// Virtio feature bits, as GET_FEATURES and SET_FEATURES carry them.
package struct VirtioFeatures: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// VHOST_F_LOG_ALL: the back-end marks the guest pages that it writes (migration).
    package static let logAll = VirtioFeatures(rawValue: 1 << 26)
    /// VIRTIO_RING_F_INDIRECT_DESC
    package static let indirectDescriptors = VirtioFeatures(rawValue: 1 << 28)
    /// VIRTIO_RING_F_EVENT_IDX
    package static let eventIndex = VirtioFeatures(rawValue: 1 << 29)
    /// VHOST_USER_F_PROTOCOL_FEATURES: the vhost-user extensions may be asked for; never shown to the guest.
    package static let protocolFeatures = VirtioFeatures(rawValue: 1 << 30)
    /// VIRTIO_F_VERSION_1
    package static let version1 = VirtioFeatures(rawValue: 1 << 32)
    /// VIRTIO_F_ACCESS_PLATFORM
    package static let accessPlatform = VirtioFeatures(rawValue: 1 << 33)
    /// VIRTIO_F_RING_PACKED
    package static let packedRing = VirtioFeatures(rawValue: 1 << 34)
}

/// VHOST_USER_PROTOCOL_F_*: the extensions of the protocol itself.
package struct ProtocolFeatures: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let multiqueue = ProtocolFeatures(rawValue: 1 << 0)
    package static let logSharedMemory = ProtocolFeatures(rawValue: 1 << 1)
    package static let rarp = ProtocolFeatures(rawValue: 1 << 2)
    package static let replyAck = ProtocolFeatures(rawValue: 1 << 3)
    package static let netMTU = ProtocolFeatures(rawValue: 1 << 4)
    package static let backendChannel = ProtocolFeatures(rawValue: 1 << 5)
    package static let crossEndian = ProtocolFeatures(rawValue: 1 << 6)
    package static let cryptoSession = ProtocolFeatures(rawValue: 1 << 7)
    package static let pageFault = ProtocolFeatures(rawValue: 1 << 8)
    package static let configuration = ProtocolFeatures(rawValue: 1 << 9)
    package static let backendSendsDescriptors = ProtocolFeatures(rawValue: 1 << 10)
    package static let hostNotifier = ProtocolFeatures(rawValue: 1 << 11)
    package static let inflightMemory = ProtocolFeatures(rawValue: 1 << 12)
    package static let resetDevice = ProtocolFeatures(rawValue: 1 << 13)
    package static let inbandNotifications = ProtocolFeatures(rawValue: 1 << 14)
    package static let configureMemorySlots = ProtocolFeatures(rawValue: 1 << 15)
    package static let status = ProtocolFeatures(rawValue: 1 << 16)
    package static let xenMmap = ProtocolFeatures(rawValue: 1 << 17)
    package static let sharedObject = ProtocolFeatures(rawValue: 1 << 18)
    package static let deviceState = ProtocolFeatures(rawValue: 1 << 19)
    package static let vringBaseInflight = ProtocolFeatures(rawValue: 1 << 20)
    package static let guestAddresses = ProtocolFeatures(rawValue: 1 << 21)
    package static let sharedMemory = ProtocolFeatures(rawValue: 1 << 22)
}
