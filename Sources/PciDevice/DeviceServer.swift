// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VfioUser
import VhostUser

/// Serves a device to one VMM after the other, and keeps it connected to its daemon. One thread.
package final class DeviceServer {
    /// Connects to the daemon, which may have to be started first.
    package typealias Connect = () throws(StartupError) -> OwnedDescriptor

    private let options: DeviceOptions
    private let device: FileSystemDevice
    private let window: WindowAddress
    private let connect: Connect
    private let stop: Int32
    private var listener: Listener?
    private var session: VfioSession?
    /// The connection of the VMM that is next; a later one takes its place.
    private var successor: SharedDescriptor?
    /// What is waited for; to be made anew when a session or a link changes.
    private var poll = PollSet([])
    /// Whether requests are under way, so that they are looked at again soon.
    private var isBusy = false
    /// When a lost daemon is looked for again.
    private var retry = Deadline.never
    private static let misfits = RecurringEvent()
    private static let refusals = RecurringEvent()
    private static let retryMilliseconds: Int32 = 500
    /// How long a busy queue is left alone: at 250,000 requests a second 1,000 pass, fewer than a ring of 1024 keeps.
    private static let lookMilliseconds: Int32 = 4

    /// Asks the daemon what there is to show, and makes the device of it.
    ///
    /// - Parameter stop: readable when everything is to end.
    package init(
        _ options: DeviceOptions, connect: @escaping Connect, stop: Int32
    ) throws(StartupError) {
        self.connect = connect
        self.stop = stop
        let window = WindowAddress()
        let link = try Self.link(to: try connect(), options, window)
        let shape = try Self.asking { () throws(VhostUserError) in try DeviceShape(options, of: link) }
        do throws(Errno) {
            device = try FileSystemDevice(
                shape, windowAddress: window, mountPatience: options.mountPatience)
        } catch {
            throw StartupError(operation: "make", subject: "a device", reason: describe(error))
        }
        device.service.adopt(link)
        self.options = options
        self.window = window
    }

    /// A link to a daemon that has what the device needs.
    private static func link(
        to socket: consuming OwnedDescriptor, _ options: DeviceOptions, _ window: WindowAddress
    ) throws(StartupError) -> DaemonLink {
        let shared = SharedDescriptor(socket)
        let link = try asking { () throws(VhostUserError) in
            let own: OwnedDescriptor
            do throws(Errno) { own = try shared.duplicate() } catch { throw .system(error) }
            let link = try DaemonLink(adopting: own, wantsWindow: options.windowByteCount != nil, window)
            let queues = try link.queueCount()
            guard queues > UInt64(options.requestQueues) else {
                throw .tooFewQueues(wanted: options.requestQueues, offered: queues > 0 ? queues - 1 : 0)
            }
            return link
        }
        if let wanted = options.windowByteCount, link.window.map({ UInt64($0.byteCount) }) != wanted {
            let offered = link.window.map { "one of \($0.byteCount >> 20)M" } ?? "none"
            throw StartupError(
                operation: "show", subject: "a DAX window of \(wanted >> 20)M",
                reason: "the daemon has \(offered)",
                hint: "start virtiofsd with --dax-window \(wanted >> 20)M as well")
        }
        return link
    }

    /// Says what a daemon refuses as one line.
    private static func asking<Result>(
        _ body: () throws(VhostUserError) -> Result
    ) throws(StartupError) -> Result {
        do throws(VhostUserError) { return try body() } catch {
            let (reason, hint) =
                switch error {
                case .noTag: ("it says no tag, by which the guest would mount it", "give a --tag")
                case .tooFewQueues(let wanted, let offered):
                    (
                        "it has \(offered) request queue\(offered == 1 ? "" : "s"), \(wanted) are wanted",
                        "start virtiofsd with --num-request-queues \(wanted), or give a smaller --request-queues"
                    )
                default: ("\(error)", "")
                }
            throw StartupError(
                operation: "make a device of", subject: "the daemon", reason: reason, hint: hint)
        }
    }

    /// Serves whoever connects until `stop` is readable.
    package func run(_ listener: Listener) {
        self.listener = listener
        watch()
        while true {
            var timeout = isBusy ? Self.lookMilliseconds : -1
            if device.service.link == nil {
                let rest = retry.remainingMilliseconds
                timeout = timeout < 0 ? rest : min(timeout, rest)
            }
            let ready = poll.wait(timeoutMilliseconds: timeout)
            if ready {
                if poll.isReady(0) { return disconnect() }
                if poll.isReady(1) { accept() }
                if poll.isReady(2) { serve() }
                if poll.isReady(3) { device.interruptLines.takeQueueEvent() }
                if poll.isReady(4) { device.service.takeError() }
                if poll.isReady(5) || poll.isReady(6) { checkDaemon() }
            }
            isBusy = device.service.look() || (isBusy && ready)
            if device.service.link == nil, retry.hasPassed { reconnect() }
        }
    }

    private func watch() {
        let link = device.service.link
        poll = PollSet([
            stop, listener?.descriptor.rawValue ?? -1, session?.descriptor ?? -1,
            device.interruptLines.queueEvent.rawValue, device.service.errorEvent.rawValue,
            link?.descriptor ?? -1, link?.channelEnded ?? -1,
        ])
        if link == nil { retry = Deadline(milliseconds: Self.retryMilliseconds) }
    }

    // MARK: The VMM

    private func accept() {
        do throws(Errno) {
            guard let socket = try listener?.accept() else { return }
            guard session != nil else {
                session = try VfioSession(adopting: socket, device: device)
                return watch()
            }
            // The first may just be going: its successor is not turned away, but waits. One can.
            Log.info("a VMM waits for another to go")
            successor = SharedDescriptor(socket)
        } catch {
            Log.once(Self.refusals, .error, "cannot accept a connection: \(describe(error))")
            // It stays readable, and nothing but time helps.
            _ = waitReadable(stop, timeoutMilliseconds: 100)
        }
    }

    private func serve() {
        let hadLink = device.service.link != nil
        do throws(VfioError) {
            try session?.serveOne()
        } catch {
            if error != .disconnected { Log.error("the VMM's connection ends: \(error)") }
            disconnect()
        }
        if hadLink != (device.service.link != nil) { watch() }
    }

    /// The VMM has gone.
    private func disconnect() {
        session = nil
        device.disconnect()
        if let next = successor {
            successor = nil
            do throws(Errno) {
                session = try VfioSession(adopting: try next.duplicate(), device: device)
            } catch {
                Log.error("cannot serve a connection: \(describe(error))")
            }
        }
        watch()
    }

    // MARK: The daemon

    private func checkDaemon() {
        guard let link = device.service.link else { return }
        if poll.isReady(6) {
            device.service.lose("it broke the protocol on the channel for its own requests")
        } else {
            // Readable also while the thread of the daemon's own requests waits for an answer there.
            do throws(VhostUserError) { try link.session.checkConnection() } catch {
                device.service.lose("\(error)")
            }
        }
        watch()
    }

    private func reconnect() {
        let socket: OwnedDescriptor
        do throws(StartupError) {
            socket = try connect()
        } catch {
            // As twice a second until it is back.
            Log.debug("\(error)")
            device.service.checkMount()
            return watch()
        }
        do throws(StartupError) {
            device.service.adopt(try Self.link(to: socket, options, window))
            Log.info("the daemon is back")
        } catch {
            Log.once(Self.misfits, .error, "\(error)")
        }
        device.service.checkMount()
        watch()
    }
}
