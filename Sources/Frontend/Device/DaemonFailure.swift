// SPDX-License-Identifier: Apache-2.0
import VhostUser
import Virtqueue

/// Why a device cannot be used any more, as one line for people.
package enum DaemonFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// It closed its connection, or ended.
    case disconnected
    /// It said something when it was not asked, or what is no message.
    case connection(VhostUserError)
    /// The same on the channel of its own requests.
    case channel(VhostUserError)
    /// It wrote into a ring what no device may.
    case brokeQueue(Int, RingFault)
    /// It said that it cannot go on with a ring: we would have broken it.
    case gaveUpQueue(Int)

    package var description: String {
        switch self {
        case .disconnected: "the daemon closed its connection"
        case .connection(let error): "the daemon broke the vhost-user protocol: \(error)"
        case .channel(.disconnected): "the daemon closed the channel for its own requests"
        case .channel(let error):
            "the daemon broke the vhost-user protocol on the channel for its own requests: \(error)"
        case .brokeQueue(let index, let fault):
            "the daemon broke \(Self.name(index)): \(Self.describe(fault))"
        case .gaveUpQueue(let index): "the daemon gave up \(Self.name(index))"
        }
    }

    private static func name(_ index: Int) -> String {
        index == 0 ? "the hiprio queue" : "request queue \(index)"
    }

    private static func describe(_ fault: RingFault) -> String {
        switch fault {
        case .usedIndexJumped: "it claims to have answered more requests than there are"
        case .unknownUsedElement: "it answered a request that it does not have"
        case .usedLengthTooLong: "it claims to have written more than there was room for"
        default: "\(fault)"
        }
    }
}
