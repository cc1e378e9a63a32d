// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization
import VhostUser

/// A thread that serves the back-end's own requests, so that whoever waits for the back-end need not. It ends with this
/// value.
package final class ChannelThread: Sendable {
    private let service: Service
    private let thread: Thread

    /// Takes the channel of `frontend` over; nil when it has none.
    package convenience init?(_ frontend: DeviceFrontend) throws(Errno) {
        guard let channel = frontend.channel else { return nil }
        try self.init(channel)
    }

    /// Takes a channel over.
    package init(_ channel: BackendChannel) throws(Errno) {
        let service = try Service(channel)
        self.service = service
        thread = try Thread(name: "window") { service.run() }
    }

    deinit {
        service.stop.signal()
        thread.join()
    }

    /// Readable when the channel is over.
    package var ended: EventFD { service.ended }
    /// How the channel has ended, if it has.
    package var failure: VhostUserError? { service.error.withLock { $0 } }
    /// Requests that were in order as messages and could not be carried out.
    package var refusals: Int { service.refusals.load(ordering: .relaxed) }

    private final class Service: @unchecked Sendable {
        // SAFETY: @unchecked because of the channel, which only the thread uses.
        let channel: BackendChannel
        let ended: EventFD
        let stop: EventFD
        let error = Mutex<VhostUserError?>(nil)
        let refusals = Atomic<Int>(0)

        init(_ channel: BackendChannel) throws(Errno) {
            self.channel = channel
            ended = try EventFD()
            stop = try EventFD()
        }

        func run() {
            do throws(VhostUserError) {
                while true {
                    let ready = waitReadable(
                        stop.descriptor.rawValue, channel.descriptor, timeoutMilliseconds: -1)
                    if ready & 0b01 != 0 { return }
                    guard ready != 0 else { continue }
                    if case .refused = try channel.serveOne() { refusals.add(1, ordering: .relaxed) }
                }
            } catch {
                self.error.withLock { $0 = error }
                ended.signal()
            }
        }
    }
}
