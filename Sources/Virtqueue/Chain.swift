// SPDX-License-Identifier: Apache-2.0
import GuestMemory

/// One request as the device sees it: the memory it may read and the memory it may write, both as host pieces.
///
/// A chain is storage: `DeviceQueue.pop` fills the same one again and again, without allocation. It holds the memory
/// snapshot it points into, so it stays usable when the table changes under it. One thread at a time.
/// Message framing means nothing (virtio 1.3 §2.7.4): ask for bytes by their offset in the readable or the writable
/// part, never for descriptors.
public final class Chain {
    /// Enough for any chain of a queue of 1024 and an indirect table of twice that, with some split at region borders.
    public static let defaultCapacity = 2 * 1024 + 64

    /// The chain's first descriptor: what goes into the used ring.
    public var head: UInt16 { first }
    private var first: UInt16 = 0

    @usableFromInline let readable: IOVectorList
    @usableFromInline let writable: IOVectorList
    private var memory: GuestMemory?
    /// Of `memory`: where the last address lay.
    private(set) var near = MemoryStretch.none

    /// - Parameter capacity: the most pieces of memory in each direction.
    public init(capacity: Int = Chain.defaultCapacity) {
        readable = IOVectorList(capacity: capacity)
        writable = IOVectorList(capacity: capacity)
    }

    /// Bytes the device may read: the request.
    @inlinable public var readableByteCount: Int { readable.byteCount }
    /// Bytes the device may write: room for the reply.
    @inlinable public var writableByteCount: Int { writable.byteCount }

    /// Copies request bytes from `offset` into `buffer`, until one of them ends.
    /// - Returns: how many were copied; 0 when `offset` lies outside the readable part.
    @inlinable public func copyReadable(from offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        unsafe readable.copyOut(from: offset, into: buffer)
    }

    /// Copies `bytes` into the reply at `offset`, until one of them ends.
    /// - Returns: how many were copied; 0 when `offset` lies outside the writable part.
    @inlinable public func copyToWritable(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        unsafe writable.copyIn(bytes, at: offset)
    }

    /// Request bytes [offset, offset + limit) in place, for pwritev: cut to what exists and to
    /// `IOVectors.maximumCount` pieces, so compare `byteCount` with what you need.
    ///
    /// The list is a private copy, overwritten by the next call and stale after the next pop into this chain.
    public func readableVectors(from offset: Int, atMost limit: Int = .max) -> IOVectors {
        readable.window(from: offset, atMost: limit)
    }

    /// Reply bytes [offset, offset + limit) in place, for preadv; otherwise like `readableVectors`.
    public func writableVectors(from offset: Int, atMost limit: Int = .max) -> IOVectors {
        writable.window(from: offset, atMost: limit)
    }

    /// Lets go of the memory it points into, which would stay mapped until the next pop; the chain is empty then.
    public func removeAll() {
        memory = nil
        near = .none
        readable.removeAll()
        writable.removeAll()
    }

    // MARK: Filling, by DeviceQueue

    func begin(head: UInt16, memory: GuestMemory) {
        first = head
        // Storing only a change keeps reference counts out of the steady state.
        if self.memory !== memory {
            self.memory = memory
            near = .none
        }
        readable.removeAll()
        writable.removeAll()
    }

    /// The piece of guest memory [start, end) that is being put together: descriptors that follow on one another, as the
    /// pages of a large buffer often do, are translated at once.
    struct Run {
        fileprivate var start: UInt64 = 0
        fileprivate var end: UInt64 = 0
        fileprivate var isWritable = false
        /// Of all descriptors so far.
        fileprivate var total: UInt64 = 0
    }

    /// Adds the memory of a plain descriptor; after the last comes `finish`.
    @inline(__always)
    func append(_ descriptor: Descriptor, _ run: inout Run, memory: GuestMemory) throws(RingFault) {
        let length = UInt64(descriptor.byteCount)
        if length == 0 { return }
        run.total &+= length
        guard run.total <= 1 << 32 else { throw .lengthOverflow }
        guard descriptor.isWritable || !run.isWritable else { throw .readableAfterWritable }
        let address = descriptor.address.rawValue
        let (next, wraps) = address.addingReportingOverflow(length)
        guard !wraps else { throw .addressOutsideMemory }
        if address != run.end || descriptor.isWritable != run.isWritable {
            if run.start != run.end { try finish(run, memory: memory) }
            (run.start, run.isWritable) = (address, descriptor.isWritable)
        }
        run.end = next
    }

    /// Translates what `append` has put together.
    func finish(_ run: Run, memory: GuestMemory) throws(RingFault) {
        if run.start == run.end { return }
        let address = GuestAddress(run.start)
        let byteCount = run.end &- run.start  // at most 4 GiB, by `total`
        let length = Int(truncatingIfNeeded: byteCount)
        // Not one call with one list or the other: that would count its references.
        if let host = unsafe translate(address, byteCount, memory: memory) {
            let fits =
                if run.isWritable {
                    unsafe writable.append(host, byteCount: length)
                } else {
                    unsafe readable.append(host, byteCount: length)
                }
            if !fits { throw .tooManyVectors }
            return
        }
        do throws(MemoryFault) {
            if run.isWritable {
                try memory.append(address, byteCount: length, to: writable)
            } else {
                try memory.append(address, byteCount: length, to: readable)
            }
        } catch {
            switch error {
            case .outsideMemory, .gone: throw .addressOutsideMemory
            case .tooManyVectors: throw .tooManyVectors
            }
        }
    }

    /// The host's address of what lies in one region; nil for anything else.
    @inline(__always)
    func translate(_ address: GuestAddress, _ byteCount: UInt64, memory: GuestMemory)
        -> UnsafeMutableRawPointer?
    {
        if let host = unsafe near.host(address, byteCount: byteCount) { return unsafe host }
        near = memory.stretch(around: address)
        return unsafe near.host(address, byteCount: byteCount)
    }
}
