// SPDX-License-Identifier: Apache-2.0
import HostOS

/// The device behind a `BackendSession`: what it offers, and what a front-end may do to it.
///
/// All calls come from the session's thread. Ring numbers are below `queueCount`; regions are not empty and wrap around
/// nowhere; ring addresses are as the front-end gave them. A throwing call becomes a negative acknowledgement, or the
/// end of the connection where the front-end asked for none. Descriptors given are the delegate's.
package protocol BackendDelegate: AnyObject {
    /// Must hold `protocolFeatures` and `version1`.
    var offeredFeatures: VirtioFeatures { get }
    /// What of `BackendSession.implementedFeatures` works on this device.
    var offeredProtocolFeatures: ProtocolFeatures { get }
    /// How many rings the device has, at most 256.
    var queueCount: Int { get }
    /// How many memory regions ADD_MEM_REG may make.
    var memorySlotCount: Int { get }
    /// Bytes of each shared memory region, by id; for SHMEM.
    var sharedMemorySizes: [UInt64] { get }

    func setOwner() throws(VhostUserError)
    /// RESET_OWNER, deprecated: at most the rings may be disabled.
    func resetOwner() throws(VhostUserError)
    /// The features that the guest and the front-end took, a subset of those offered.
    func setFeatures(_ features: VirtioFeatures) throws(VhostUserError)
    func setProtocolFeatures(_ features: ProtocolFeatures) throws(VhostUserError)
    /// The front-end's end for `BackendRequest`s.
    func setBackendChannel(_ socket: consuming OwnedDescriptor) throws(VhostUserError)

    /// Replaces all of guest memory; `files` has one descriptor per region, in order.
    func setMemoryTable(_ regions: [RegionDescription], files: consuming ReceivedDescriptors)
        throws(VhostUserError)
    func addMemoryRegion(_ region: RegionDescription, file: consuming OwnedDescriptor) throws(VhostUserError)
    /// The region is the one with this guest address, size and user address; its file offset means nothing.
    func removeMemoryRegion(_ region: RegionDescription) throws(VhostUserError)

    func setRingSize(_ ring: Int, _ size: UInt16) throws(VhostUserError)
    /// The available index at which the ring goes on.
    func setRingBase(_ ring: Int, _ base: UInt16) throws(VhostUserError)
    func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) throws(VhostUserError)
    /// Starts the ring. Without an eventfd the back-end has to poll.
    func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError)
    /// Without an eventfd (or pipe) nobody is to be notified. May come at any time, also while the ring runs.
    func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError)
    /// What to signal when the ring is broken.
    func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError)
    /// A disabled ring is left alone, but stays started. UML sends nothing else before it sets a ring up anew.
    func setRingEnabled(_ ring: Int, _ enabled: Bool) throws(VhostUserError)
    /// Stops the ring, waits until nothing of it is in flight, and returns the next available index.
    func stopRing(_ ring: Int) throws(VhostUserError) -> UInt16

    /// The bytes of the configuration space in this window, exactly `count` (at most 256).
    func readConfiguration(offset: UInt32, count: Int) throws(VhostUserError) -> [UInt8]
    func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError)
    /// The guest reset the device: rings stop and are disabled, the device's state is as new; memory stays.
    func resetDevice() throws(VhostUserError)

    /// A request was refused or ignored: for the log. Comes once per request number and connection.
    func refused(request: UInt32, _ error: VhostUserError)
}

extension BackendDelegate {
    /// None.
    package var sharedMemorySizes: [UInt64] { [] }
}
