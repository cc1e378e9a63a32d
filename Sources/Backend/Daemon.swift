// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VhostUser

/// Serves one front-end after the other on a listening socket, until told to stop: the control thread.
///
/// The device belongs to the first connection that says something. Others wait in the socket's backlog until it is over,
/// so that a probe that connects and leaves, or connects and stays silent, disturbs nobody.
package final class Daemon {
    private let listener: Listener
    private let device: Device
    private let once: Bool
    private let stopEvent: EventFD

    /// Connections that have not said anything yet, oldest first.
    private var silent: [Connection] = []
    /// More than this many silent ones push out the oldest.
    private static let silentLimit = 16

    /// - Parameter once: end when the first front-end that used the device has gone.
    /// - Parameter stopEvent: signalled when the daemon is to end.
    package init(listener: Listener, device: Device, once: Bool, stopEvent: EventFD) {
        self.listener = listener
        self.device = device
        self.once = once
        self.stopEvent = stopEvent
    }

    /// Serves until `stopEvent`, or until the first front-end has left if that is all that was asked for. The device is
    /// shut down when this returns.
    package func run() {
        while let connection = nextFrontend() {
            let used = serve(connection)
            device.disconnect()
            if used && once { break }
            if isStopping { break }
        }
        device.shutDown()
    }

    private var isStopping: Bool {
        waitReadable(stopEvent.descriptor.rawValue, timeoutMilliseconds: 0) != 0
    }

    /// Waits for a connection that has something to say. nil: stop.
    private func nextFrontend() -> Connection? {
        while true {
            let fixed = [stopEvent.descriptor.rawValue, listener.descriptor.rawValue]
            let ready = waitReadable(
                any: fixed + silent.map { $0.descriptor.rawValue }, timeoutMilliseconds: -1)
            if ready[0] { return nil }
            if let index = ready.dropFirst(2).firstIndex(of: true) { return silent.remove(at: index - 2) }
            if ready[1] { acceptOne() }
        }
    }

    private func acceptOne() {
        do throws(Errno) {
            guard let connection = try listener.acceptConnection() else { return }
            if silent.count == Self.silentLimit { silent.removeFirst() }
            silent.append(connection)
        } catch {
            Log.error("cannot accept a connection: \(describe(error)); trying again in a second")
            _ = waitReadable(stopEvent.descriptor.rawValue, timeoutMilliseconds: 1000)
        }
    }

    /// Serves one front-end to its end. Returns whether it said anything: a probe does not.
    private func serve(_ connection: Connection) -> Bool {
        let session = BackendSession(connection, delegate: device)
        var used = false
        while true {
            let ready = waitReadable(
                connection.descriptor.rawValue, stopEvent.descriptor.rawValue, timeoutMilliseconds: -1)
            if ready & 0b10 != 0 { return used }
            guard ready & 0b01 != 0 else { continue }
            do throws(VhostUserError) {
                try session.serveNext()
                if !used { Log.info("a front-end connected") }
                used = true
            } catch .disconnected {
                if used { Log.info("the front-end disconnected") }
                return used
            } catch {
                Log.error("the front-end's connection ends: \(error)")
                return used
            }
        }
    }
}
