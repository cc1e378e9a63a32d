// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Virtqueue

/// A queue whose daemon has gone. Every request gets ENOTCONN for an answer, so that nobody in the guest waits for ever, and the
/// file system can be unmounted.
final class OrphanedQueue {
    private let queue: DeviceQueue
    /// May be replaced between requests.
    var memory: GuestMemory
    var call: SharedDescriptor
    private let chain = Chain()
    /// The ring itself is broken.
    private(set) var isBroken = false

    /// - Parameters:
    ///   - nextAvailable: where to begin in the available ring.
    ///   - inFlight: chains before that, which the daemon has not answered.
    init(
        _ layout: RingLayout, features: RingFeatures, memory: GuestMemory, nextAvailable: UInt16,
        inFlight: [UInt16], call: SharedDescriptor
    ) {
        queue = DeviceQueue(layout: layout, nextAvailable: nextAvailable, features: features)
        self.memory = memory
        self.call = call
        do throws(RingFault) {
            for head in inFlight {
                try queue.take(head, into: chain, memory: memory)
                refuse()
            }
        } catch {
            giveUp(error)
        }
        announce()
    }

    /// The index of the next chain, for whoever takes the queue over.
    var nextAvailable: UInt16 { queue.nextAvailable }

    /// Answers what there is, up to an INIT: that is a new mount, which a daemon may come for.
    ///
    /// - Parameter refusesMounts: answers INIT, too.
    /// - Returns: whether an INIT waits, as the next chain.
    func serve(refusesMounts: Bool) -> Bool {
        guard !isBroken else { return false }
        defer { announce() }
        do throws(RingFault) {
            repeat {
                queue.disableNotifications()
                while try queue.pop(into: chain, memory: memory) {
                    if !refusesMounts, header?.opcode == Opcode.initialize.rawValue {
                        queue.putBack()
                        return true
                    }
                    refuse()
                }
                queue.publish()
            } while queue.enableNotifications()
        } catch {
            giveUp(error)
        }
        return false
    }

    private func giveUp(_ fault: RingFault) {
        isBroken = true
        Log.error("the guest broke a ring (\(fault)); it is left alone until the device is reset")
    }

    private func announce() {
        queue.publish()
        if queue.needsNotification() { signalEvent(call.rawValue) }
    }

    private var header: InHeader? {
        var header = InHeader()
        let count = unsafe withUnsafeMutableBytes(of: &header) {
            unsafe chain.copyReadable(from: 0, into: $0)
        }
        return count == MemoryLayout<InHeader>.size ? header : nil
    }

    /// Answers the chain with an error, where it has room for an answer: FORGET has none.
    private func refuse() {
        var reply = OutHeader()
        let byteCount = MemoryLayout<OutHeader>.size
        reply.length = UInt32(byteCount)
        reply.error = -Errno.ENOTCONN.rawValue
        reply.unique = header?.unique ?? 0
        var written = 0
        if chain.writableByteCount >= byteCount {
            written = unsafe withUnsafeBytes(of: reply) { unsafe chain.copyToWritable($0, at: 0) }
        }
        queue.push(head: chain.head, written: UInt32(written))
    }
}
