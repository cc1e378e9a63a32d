// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

/// The threads of a mount and their channels to the kernel.
///
/// Thread t has a channel of its own and collects what the device finishes on lane t modulo their number. The connection to the
/// kernel lives as long as there is a channel: closing them all gives every blocked caller an error at once.
final class FuseBridge: Sendable {
    let lanes: [Lane]
    /// Readable when a thread has ended by itself.
    let ended: EventFD
    private let stop: EventFD
    private let channels: Mutex<[Channel]>
    private let threads: Mutex<[Thread]>
    private let ends: Mutex<[WorkerEnd]>

    private final class Channel: Sendable {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// Takes over the first channel of a mount whose INIT has been answered; starts `memory.threads` threads.
    init(
        device: consuming OwnedDescriptor, lanes: [Lane], pool: BufferPool, forgets: ChainQueue,
        buffers: [RAMBuffer], memory: BridgeMemory, reads: MappedReads? = nil,
        cache: KernelCache? = nil
    ) throws(Errno) {
        self.lanes = lanes
        stop = try EventFD()
        ended = try EventFD()
        threads = Mutex([])
        ends = Mutex([])
        var all = [Channel(device)]
        for _ in 1..<max(1, memory.threads) {
            all.append(Channel(try cloneFuseDevice(all[0].descriptor.rawValue)))
        }
        let numbers = all.map { $0.descriptor.rawValue }
        channels = Mutex(all)
        let parts = BridgeParts(
            lanes: lanes, pool: pool,
            forgets: ForgetQueue(queue: forgets, arena: memory.forgets(buffers), stop: stop),
            interrupts: Interrupts(lanes: lanes), stop: stop, reads: reads,
            cache: cache)
        do throws(Errno) {
            for (index, channel) in numbers.enumerated() {
                let thread = try start(parts, lanes[index % lanes.count], channel, index)
                threads.withLock { $0.append(thread) }
            }
        } catch {
            stopThreads()
            throw error
        }
    }

    private func start(_ parts: BridgeParts, _ lane: Lane, _ channel: Int32, _ index: Int) throws(Errno)
        -> Thread
    {
        try Thread(name: "fuse.\(index)") { [ended] in
            let end: WorkerEnd
            do throws(Errno) {
                end = try BridgeWorker(parts, lane: lane, channel: channel).run()
            } catch {
                end = .failed(error)
            }
            self.ends.withLock { $0.append(end) }
            if end != .stopped { ended.signal() }
        }
    }

    /// Why the first thread that was not told to has ended.
    var firstEnd: WorkerEnd? { ends.withLock { $0.first { $0 != .stopped } } }

    /// Ends all threads; what is under way stays unanswered. Calling it again changes nothing.
    func stopThreads() {
        stop.signal()
        let all = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in all { thread.join() }
    }

    /// Ends the connection to the kernel, after `stopThreads`.
    func closeChannels() { channels.withLock { $0 = [] } }
}
