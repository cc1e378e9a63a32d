// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Synchronization
import Virtqueue

/// The hiprio queue, which carries FORGET and BATCH_FORGET (virtio 1.3 §5.11.6.1): they have no reply, so what matters is
/// only that none is lost.
final class ForgetQueue: Sendable {
    private let queue: ChainQueue
    private let arena: RAMBuffer
    private let stop: EventFD
    private let free: Mutex<[Int]>

    private static let stride = 2048
    private static let prefixByteCount = MemoryLayout<InHeader>.size + MemoryLayout<BatchForgetIn>.size
    private static let batch = (stride - prefixByteCount) / MemoryLayout<ForgetOne>.size

    /// - Parameter stop: readable when nobody need wait for the device any more.
    init(queue: ChainQueue, arena: RAMBuffer, stop: EventFD) {
        self.queue = queue
        self.arena = arena
        self.stop = stop
        free = Mutex((0..<min(queue.size, arena.byteCount / Self.stride)).reversed())
    }

    /// Sends a FORGET as the kernel made it.
    func forget(_ message: UnsafeRawBufferPointer) throws(Errno) {
        guard message.count <= Self.stride else { return }
        try unsafe send(message, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Sends a BATCH_FORGET, in several where it is long.
    ///
    /// - Parameters:
    ///   - header: the header that the kernel made.
    ///   - entries: so many bytes of entries; `read` fills a buffer with those from an offset on.
    func forgetBatch(
        _ header: InHeader, entryByteCount: Int, read: (Int, UnsafeMutableRawBufferPointer) -> Void
    ) throws(Errno) {
        let size = MemoryLayout<ForgetOne>.size
        let total = entryByteCount / size
        var entries = InlineArray<2048, UInt8>(repeating: 0)
        var done = 0
        while done < total {
            let count = min(Self.batch, total - done)
            var prefix = (header, BatchForgetIn())
            prefix.0.length = UInt32(clamping: Self.prefixByteCount + count * size)
            prefix.1.count = UInt32(clamping: count)
            var span = entries.mutableSpan
            try unsafe span.withUnsafeMutableBytes { (all) throws(Errno) in
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: all[..<(count * size)])
                unsafe read(done * size, part)
                try unsafe withUnsafeBytes(of: &prefix) { (start) throws(Errno) in
                    let start = unsafe UnsafeRawBufferPointer(rebasing: start[..<Self.prefixByteCount])
                    try unsafe send(start, UnsafeRawBufferPointer(part))
                }
            }
            done += count
        }
    }

    private func send(_ start: UnsafeRawBufferPointer, _ rest: UnsafeRawBufferPointer) throws(Errno) {
        guard let slot = try takeSlot() else { return }
        let offset = slot * Self.stride
        unsafe arena.copy(start, at: offset)
        unsafe arena.copy(rest, at: offset + start.count)
        let parts: InlineArray<1, GuestBuffer> = [
            arena.part(at: offset, byteCount: start.count + rest.count)
        ]
        do throws(Errno) {
            try queue.submit(
                readable: parts.span, writable: Span(), token: UInt32(truncatingIfNeeded: slot), table: nil)
        } catch {
            free.withLock { $0.append(slot) }
            throw error
        }
    }

    /// A free slot, waiting for the device where it has all of them; nil when the mount ends.
    private func takeSlot() throws(Errno) -> Int? {
        while true {
            try collect()
            if let slot = free.withLock({ $0.popLast() }) { return slot }
            if queue.armInterrupts() { continue }
            // Another thread may have taken the interrupt: look again now and then.
            let ready = waitReadable(
                stop.descriptor.rawValue, queue.callDescriptor, timeoutMilliseconds: 100)
            if ready & 0b01 != 0 { return nil }
            if ready & 0b10 != 0 { queue.clearCall() }
        }
    }

    /// Takes back what the device has finished.
    private func collect() throws(Errno) {
        var completions = InlineArray<32, Completion>(repeating: Completion())
        var count: Int
        repeat {
            var span = completions.mutableSpan
            count = try queue.collect(into: &span)
            for index in 0..<count {
                let slot = Int(completions[index].token)
                free.withLock { $0.append(slot) }
            }
        } while count == completions.count
    }
}
