// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import VhostUser
import Virtqueue

/// What the front-end has said about one ring; enough of it makes the ring run.
struct RingState {
    var size: UInt16 = 0
    var base: UInt16 = 0
    var addresses: VringAddresses?
    /// SET_VRING_KICK came since the ring was last stopped.
    var started = false
    var enabled = false
    /// The kick came without a descriptor.
    var polled = false

    /// vhost-user "Ring states": started, enabled, and with something to run on.
    var isRunnable: Bool { started && enabled && addresses != nil && size > 0 }
}

/// A runnable ring, as its worker gets it.
struct RingSetup: Sendable {
    let size: Int
    let addresses: VringAddresses
    let base: UInt16
    let features: RingFeatures
    /// Without a kick descriptor the worker has to look by itself.
    let polled: Bool

    /// The ring's place in `memory`. EFAULT when it is not (or no longer) mapped there.
    func layout(in memory: GuestMemory) throws(Errno) -> RingLayout {
        try RingLayout(
            size: size, userDescriptors: addresses.descriptorTable, userAvailable: addresses.availableRing,
            userUsed: addresses.usedRing, memory: memory)
    }
}
