// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import VhostUser

/// Everything by which a running device can end: its connection, the channel of its own requests, and each queue.
///
/// One thread uses it: poll `descriptors`, then `check()`.
package final class FrontendWatch {
    /// Readable when `check` has something to do.
    package let descriptors: [Int32]
    private let session: FrontendSession
    private let channel: BackendChannel?
    private let queues: [ChainQueue]

    /// - Parameter servesChannel: false where somebody else does.
    package init(_ frontend: DeviceFrontend, servesChannel: Bool = true) {
        session = frontend.session
        channel = servesChannel ? frontend.channel : nil
        queues = frontend.queues.map(\.chains)
        descriptors =
            [session.connection.descriptor.rawValue] + queues.map(\.errorDescriptor)
            + (channel.map { [$0.descriptor] } ?? [])
    }

    /// Serves at most one request of the back-end, and looks whether the device still works. Never waits, but for the rest
    /// of a message that has begun.
    package func check() throws(DaemonFailure) {
        try checkConnection()
        if let channel, waitReadable(channel.descriptor, timeoutMilliseconds: 0) != 0 {
            do throws(VhostUserError) {
                _ = try channel.serveOne()
            } catch {
                // A daemon that ends closes both; the connection says it better.
                if error == .disconnected { try checkConnection() }
                throw .channel(error)
            }
        }
        for queue in queues {
            if let fault = queue.fault { throw .brokeQueue(queue.index, fault) }
            if waitReadable(queue.errorDescriptor, timeoutMilliseconds: 0) != 0 {
                throw .gaveUpQueue(queue.index)
            }
        }
    }

    private func checkConnection() throws(DaemonFailure) {
        do throws(VhostUserError) { try session.checkConnection() } catch {
            throw error == .disconnected ? .disconnected : .connection(error)
        }
    }
}
