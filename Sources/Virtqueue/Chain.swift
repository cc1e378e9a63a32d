// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// One request as the device sees it: the memory it may read and the memory it may write, both as host pieces.
///
/// A chain is storage: `DeviceQueue.pop` fills the same one again and again, without allocation. It holds the memory
/// snapshot it points into, so it stays usable when the table changes under it. One thread at a time.
/// Message framing means nothing (virtio 1.3 §2.7.4): ask for bytes by their offset in the readable or the writable
/// part, never for descriptors.
package final class Chain {
    /// Enough for any chain of a queue of 1024 and an indirect table of twice that, with some split at region borders.
    package static let defaultCapacity = 2 * 1024 + 64

    /// The chain's first descriptor: what goes into the used ring.
    package var head: UInt16 { first }
    private var first: UInt16 = 0

    private let readable: IOVectorList
    private let writable: IOVectorList
    private var memory: GuestMemory?

    /// The piece of guest memory [start, end) that is being put together: descriptors that follow on one another, as the
    /// pages of a large buffer often do, are translated at once.
    private var start: UInt64 = 0
    private var end: UInt64 = 0
    private var isWritable = false
    /// Of all descriptors so far.
    private var total: UInt64 = 0

    /// - Parameter capacity: the most pieces of memory in each direction.
    package init(capacity: Int = Chain.defaultCapacity) {
        readable = IOVectorList(capacity: capacity)
        writable = IOVectorList(capacity: capacity)
    }

    /// Bytes the device may read: the request.
    package var readableByteCount: Int { readable.byteCount }
    /// Bytes the device may write: room for the reply.
    package var writableByteCount: Int { writable.byteCount }

    /// Copies request bytes from `offset` into `buffer`, until one of them ends.
    /// - Returns: how many were copied; 0 when `offset` lies outside the readable part.
    package func copyReadable(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        unsafe readable.copyOut(from: offset, into: buffer)
    }

    /// Copies `bytes` into the reply at `offset`, until one of them ends.
    /// - Returns: how many were copied; 0 when `offset` lies outside the writable part.
    package func copyToWritable(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        unsafe writable.copyIn(bytes, at: offset)
    }

    /// Request bytes [offset, offset + limit) in place, for pwritev: cut to what exists and to
    /// `IOVectors.maximumCount` pieces, so compare `byteCount` with what you need.
    ///
    /// The list is a private copy, overwritten by the next call and stale after the next pop into this chain.
    package func readableVectors(from offset: Int, atMost limit: Int = .max) -> IOVectors {
        readable.window(from: offset, atMost: limit)
    }

    /// Reply bytes [offset, offset + limit) in place, for preadv; otherwise like `readableVectors`.
    package func writableVectors(from offset: Int, atMost limit: Int = .max) -> IOVectors {
        writable.window(from: offset, atMost: limit)
    }

    /// Lets go of the memory it points into, which would stay mapped until the next pop; the chain is empty then.
    package func removeAll() {
        memory = nil
        readable.removeAll()
        writable.removeAll()
    }

    // MARK: Filling, by DeviceQueue

    func begin(head: UInt16, memory: GuestMemory) {
        first = head
        // Storing only a change keeps reference counts out of the steady state.
        if self.memory !== memory { self.memory = memory }
        readable.removeAll()
        writable.removeAll()
        (start, end, isWritable, total) = (0, 0, false, 0)
    }

    /// Adds the memory of a plain descriptor; after the last comes `finish`.
    func append(_ descriptor: Descriptor, memory: GuestMemory) throws(RingFault) {
        let length = UInt64(descriptor.byteCount)
        if length == 0 { return }
        total += length
        guard total <= 1 << 32 else { throw .lengthOverflow }
        guard descriptor.isWritable || !isWritable else { throw .readableAfterWritable }
        let address = descriptor.address.rawValue
        let (next, wraps) = address.addingReportingOverflow(length)
        guard !wraps else { throw .addressOutsideMemory }
        if address != end || descriptor.isWritable != isWritable {
            try finish(memory: memory)
            (start, isWritable) = (address, descriptor.isWritable)
        }
        end = next
    }

    /// Translates what `append` has put together.
    func finish(memory: GuestMemory) throws(RingFault) {
        if start == end { return }
        do throws(MemoryFault) {
            // Not one call with one list or the other: that would count its references.
            if isWritable {
                try memory.append(GuestAddress(start), byteCount: Int(end - start), to: writable)
            } else {
                try memory.append(GuestAddress(start), byteCount: Int(end - start), to: readable)
            }
        } catch {
            switch error {
            case .outsideMemory, .gone: throw .addressOutsideMemory
            case .tooManyVectors: throw .tooManyVectors
            }
        }
    }
}
