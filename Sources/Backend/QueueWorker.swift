// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS
import StateArena
import Synchronization

/// One worker thread, as the control thread sees it: told to start and stop its rings, never touched otherwise.
///
/// A worker serves one request queue; the first serves hiprio too, whose FORGETs are no reason to wake another thread. The
/// mailbox is the only lock between the threads; the worker looks into it when `attention` is set or it was woken.
final class QueueWorker: Sendable {
    enum Command: Sendable {
        case start(ring: Int, RingSetup)
        case stop(ring: Int)
        case exit
    }

    private struct Mailbox {
        var commands: [Command] = []
        var finished: [FinishedRequest] = []
        /// The answer to the last `stop`.
        var nextAvailable: UInt16 = 0
        /// Why the thread could not begin.
        var failure: Errno?
    }

    /// The request queue.
    let requests: QueuePort
    /// The first worker's other queue.
    let hiprio: QueuePort?
    let wake: EventFD
    private let acknowledged: EventFD
    private let mailbox = Mutex(Mailbox())
    /// Set when the mailbox has something; checked between requests.
    private let attention = Atomic<Bool>(false)
    private let thread = Mutex<Thread?>(nil)

    /// Starts the thread and waits until its file system is ready.
    init(requests: QueuePort, hiprio: QueuePort?, _ common: WorkerContext) throws(Errno) {
        self.requests = requests
        self.hiprio = hiprio
        wake = try EventFD()
        acknowledged = common.acknowledged
        let thread = try Thread(name: requests.name) { [self] in RequestLoop.run(worker: self, common) }
        self.thread.withLock { $0 = thread }
        waitForAcknowledgement()
        if let failure = mailbox.withLock({ $0.failure }) {
            thread.join()
            throw failure
        }
    }

    // MARK: Control thread

    /// Lets the ring run.
    func start(_ ring: Int, _ setup: RingSetup) { post(.start(ring: ring, setup)) }

    /// Stops the ring after everything in flight has been answered; returns the next available index.
    func stop(_ ring: Int) -> UInt16 {
        post(.stop(ring: ring))
        waitForAcknowledgement()
        return mailbox.withLock { $0.nextAvailable }
    }

    /// Ends the thread. Stop the rings first.
    func exit() {
        post(.exit)
        thread.withLock { $0.take() }?.join()
    }

    private func post(_ command: Command) {
        mailbox.withLock { $0.commands.append(command) }
        attention.store(true, ordering: .releasing)
        wake.signal()
    }

    private func waitForAcknowledgement() {
        while waitReadable(acknowledged.descriptor.rawValue, timeoutMilliseconds: -1) == 0 {}
        acknowledged.clear()
    }

    // MARK: Worker's thread

    /// Something is in the mailbox.
    var needsAttention: Bool { attention.load(ordering: .acquiring) }

    /// Takes what has come in.
    func collect() -> (commands: [Command], finished: [FinishedRequest]) {
        wake.clear()
        attention.store(false, ordering: .relaxed)
        return mailbox.withLock { box in
            let result = (box.commands, box.finished)
            box.commands.removeAll()
            box.finished.removeAll()
            return result
        }
    }

    /// Takes only the deferred requests that have come back, while a command is carried out.
    func collectFinished() -> [FinishedRequest] {
        wake.clear()
        return mailbox.withLock { box in
            let finished = box.finished
            box.finished.removeAll()
            return finished
        }
    }

    /// Answers `init` (with the reason if the thread cannot work) or a `stop`.
    func acknowledge(nextAvailable: UInt16 = 0, failure: Errno? = nil) {
        mailbox.withLock { box in
            box.nextAvailable = nextAvailable
            box.failure = failure
        }
        acknowledged.signal()
    }

    // MARK: Any thread

    /// Brings a deferred request back.
    func finish(_ finished: FinishedRequest) {
        mailbox.withLock { $0.finished.append(finished) }
        attention.store(true, ordering: .releasing)
        wake.signal()
    }
}

/// What every worker of a device is given.
struct WorkerContext: Sendable {
    let memory: MemoryPublication
    let session: FuseSession
    let share: any FileSystemShare
    let arena: StateArena
    /// Where requests go that wait for a disk.
    let pool: WaitingPool
    let readRings: ReadRingPermission
    let polling: PollingOptions
    let watchers: Watchers
    /// nil: nothing is limited.
    let throttle: Throttle?
    /// A worker's answer to the control thread, which asks one at a time.
    let acknowledged: EventFD
    let confineThread: @Sendable () throws(Errno) -> Void
}
