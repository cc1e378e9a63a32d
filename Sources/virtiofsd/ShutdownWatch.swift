// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

/// Turns SIGTERM, SIGINT and SIGHUP into an orderly end: requests in flight are finished and the process exits 0, even if
/// one of them hangs on a dead disk.
final class ShutdownWatch: Sendable {
    /// Signalled when the daemon is to end.
    let stopEvent: EventFD
    /// Signalled by us when it has ended.
    private let finished: EventFD
    private let signals: SignalDescriptor

    /// How long requests in flight may take; launchers wait two seconds or more before they kill.
    private static let graceMilliseconds: Int32 = 1500

    /// Blocks the signals: call this while the process has one thread.
    init() throws(Errno) {
        stopEvent = try EventFD()
        finished = try EventFD()
        signals = try SignalDescriptor(collecting: [SIGTERM, SIGINT, SIGHUP])
    }

    /// Runs `body`, which must return soon after `stopEvent`; watches for signals meanwhile.
    ///
    /// - Parameter confine: called on the watching thread before it watches; if it throws, `body` is not run.
    func whileRunning(
        confine: @escaping @Sendable () throws(Errno) -> Void, _ body: () throws(Errno) -> Void
    ) throws(Errno) {
        let outcome = try Outcome()
        let watcher = try Thread(name: "signals") { [self] in
            do throws(Errno) {
                try confine()
                outcome.report(nil)
                watch()
            } catch {
                outcome.report(error)
            }
        }
        defer {
            finished.signal()
            watcher.join()
        }
        try outcome.wait()
        try body()
    }

    /// How the watching thread's start went.
    private final class Outcome: Sendable {
        private let failure = Mutex<Errno?>(nil)
        private let semaphore: OwnedDescriptor

        init() throws(Errno) { semaphore = try makeSemaphore() }

        func report(_ error: Errno?) {
            failure.withLock { $0 = error }
            postSemaphore(semaphore.rawValue, 1)
        }

        func wait() throws(Errno) {
            waitSemaphore(semaphore.rawValue)
            if let error = failure.withLock({ $0 }) { throw error }
        }
    }

    private func watch() {
        while waitReadable(
            signals.descriptor.rawValue, finished.descriptor.rawValue, timeoutMilliseconds: -1) & 0b10 == 0
        {
            guard let signal = signals.next() else { continue }
            Log.info("\(name(of: signal)): finishing what is in flight")
            stopEvent.signal()
            let ended = waitReadable(
                finished.descriptor.rawValue, timeoutMilliseconds: Self.graceMilliseconds)
            if ended == 0 {
                Log.warning("requests still run \(Self.graceMilliseconds) ms later: leaving them")
                _exit(0)
            }
        }
    }

    private func name(of signal: Int32) -> String {
        switch signal {
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        default: "SIGHUP"
        }
    }
}
