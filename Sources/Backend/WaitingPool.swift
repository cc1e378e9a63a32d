// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS
import Synchronization

/// The threads for requests that wait for a disk, shared by all workers of a device. They are started when they are needed,
/// up to a limit, and sleep until the device ends.
///
/// A request is carried out as a whole, by a file system that may wait: its worker has found out that it would have to and
/// has changed nothing. Most reads go another way (`WaitingReads`): docs/performance.md says why.
final class WaitingPool: Sendable {
    private struct State {
        var requests: [WaitingRequest] = []
        var idle = 0
        var threads: [Thread] = []
    }
    private let state = Mutex(State())
    private let session: FuseSession
    private let share: any FileSystemShare
    private let limit: Int
    /// Counts what is in `requests`, and at the end the threads.
    private let semaphore: OwnedDescriptor

    /// - Parameter limit: the most threads, at least 1.
    init(session: FuseSession, share: any FileSystemShare, limit: Int) throws(Errno) {
        self.session = session
        self.share = share
        self.limit = max(1, limit)
        semaphore = try makeSemaphore()
    }

    /// Takes a request over; `finish` of its worker brings it back. False if no thread could be had: the request is still
    /// the caller's.
    func submit(_ request: WaitingRequest) -> Bool {
        let accepted = state.withLock { state -> Bool in
            if state.idle <= state.requests.count, state.threads.count < limit,
                let thread = try? Thread(name: "waiting.\(state.threads.count)", { self.run() })
            {
                state.threads.append(thread)
            }
            if state.threads.isEmpty { return false }
            state.requests.append(request)
            return true
        }
        if accepted { postSemaphore(semaphore.rawValue, 1) }
        return accepted
    }

    /// Ends the threads. Nothing may be under way.
    func shutDown() {
        let threads = state.withLock { $0.threads }
        postSemaphore(semaphore.rawValue, threads.count)
        for thread in threads { thread.join() }
    }

    // MARK: The threads

    private func run() {
        let server: FuseServer?
        do throws(Errno) {
            server = FuseServer(fileSystem: try share.makeFileSystem(mayWait: true), session: session)
        } catch {
            Log.error("a thread for requests that wait cannot work: \(describe(error))")
            server = nil
        }
        let scratch = ReplyScratch()
        while let request = next() { request.carryOut(server, scratch) }
    }

    /// The next request; nil: end.
    private func next() -> WaitingRequest? {
        state.withLock { $0.idle += 1 }
        waitSemaphore(semaphore.rawValue)
        return state.withLock { state in
            state.idle -= 1
            return state.requests.isEmpty ? nil : state.requests.removeFirst()
        }
    }
}

/// Private memory in which one thread builds replies.
@safe final class ReplyScratch {
    let bytes: UnsafeMutableRawBufferPointer

    init() { unsafe bytes = .allocate(byteCount: FuseServer.replyScratchByteCount, alignment: 16) }
    deinit { unsafe bytes.deallocate() }
}
