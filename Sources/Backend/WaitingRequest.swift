// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import GuestMemory
import Synchronization
import Virtqueue

/// A request that waits for a disk: all that is needed to carry it out and to reply, elsewhere than in its worker's hands. Its
/// chain stays in flight, and the guest memory that it names stays mapped.
///
/// It waits in the `WaitingPool`, on a thread that carries it out as a whole, or as one of its worker's `WaitingReads`.
@safe final class WaitingRequest: DeferralSource, @unchecked Sendable {
    // SAFETY: @unchecked because one thread has it at a time: the worker that fills it, then one thread of the pool.
    private let worker: QueueWorker
    private var message: [UInt8] = []
    private var totalByteCount = 0
    private var data = IOVectorList(capacity: 1)
    private var room = IOVectorList(capacity: 1)
    private var memory: GuestMemory?
    private(set) var ring = 0
    private(set) var head: UInt16 = 0

    init(of worker: QueueWorker) { self.worker = worker }

    /// Takes a request up. Allocates only what earlier ones have not needed yet.
    ///
    /// - Parameter message: the private copy of its first bytes.
    func fill(_ message: UnsafeRawBufferPointer, _ chain: Chain, _ memory: GuestMemory, ring: Int) {
        self.message.removeAll(keepingCapacity: true)
        unsafe self.message.append(contentsOf: message)
        totalByteCount = chain.readableByteCount
        Self.copy(chain.readableVectors(from: FuseServer.writeDataOffset), to: &data)
        Self.copy(chain.writableVectors(from: 0), to: &room)
        self.memory = memory
        self.ring = ring
        head = chain.head
    }

    private static func copy(_ vectors: IOVectors, to list: inout IOVectorList) {
        if vectors.count > list.capacity { list = IOVectorList(capacity: vectors.count) }
        list.replaceAll(by: vectors)
    }

    // MARK: As a read

    /// Where what is read goes: the first `byteCount` bytes behind the reply's header, as far as there are any.
    func roomForData(_ byteCount: Int) -> IOVectors {
        room.window(from: MemoryLayout<OutHeader>.size, atMost: byteCount)
    }

    var unique: Unique {
        let value = unsafe message.withUnsafeBytes {
            $0.count < MemoryLayout<InHeader>.size ? 0 : unsafe $0.loadUnaligned(as: InHeader.self).unique
        }
        return Unique(rawValue: value)
    }

    /// Writes the reply's header and lets go of guest memory; returns how much was written.
    func reply(_ header: OutHeader) -> Int {
        defer { letGo() }
        return unsafe withUnsafeBytes(of: header) { unsafe room.copyIn($0, at: 0) }
    }

    /// Keeps guest memory mapped no longer.
    func letGo() { memory = nil }

    // MARK: On a thread of the pool

    /// Answers the request. Without a server it is an I/O error.
    func carryOut(_ server: FuseServer?, _ scratch: ReplyScratch) {
        let written = server.map { carryOut($0, scratch) } ?? fail()
        worker.finish(FinishedRequest(ring: ring, head: head, written: written))
    }

    private func carryOut(_ server: FuseServer, _ scratch: ReplyScratch) -> Int {
        let capacity = room.byteCount
        let outcome = unsafe message.withUnsafeBytes { message in
            unsafe server.handle(
                message: message, totalByteCount: totalByteCount,
                data: DataVector(data.window(from: 0, atMost: .max)),
                replyScratch: scratch.bytes, replyCapacity: capacity,
                replyData: DataVector(room.window(from: MemoryLayout<OutHeader>.size, atMost: .max)),
                deferrals: self)
        }
        switch outcome {
        case .reply(let scratchByteCount, let directByteCount):
            return unsafe room.copyIn(
                UnsafeRawBufferPointer(rebasing: scratch.bytes[..<scratchByteCount]), at: 0) + directByteCount
        case .noReply: return 0
        // A file system that may wait does so.
        case .deferred, .mustWait: return fail()
        }
    }

    private func fail() -> Int { reply(FuseServer.headerOnlyReply(to: unique, error: .EIO)) }

    /// Lock requests, which ask for this, never come here: they have threads of their own.
    func deferReply() -> any DeferredReply { NoReply() }

    private final class NoReply: DeferredReply {
        func complete(_ error: Errno?) {}
    }
}

extension IOVectorList {
    /// A list of its own with the same pieces, which must stay mapped.
    convenience init(copying vectors: IOVectors) {
        self.init(capacity: max(1, vectors.count))
        replaceAll(by: vectors)
    }

    /// Takes the same pieces in place of its own.
    func replaceAll(by vectors: IOVectors) {
        removeAll()
        for index in 0..<vectors.count {
            // SAFETY: index is below the count, and every entry of a window has an address.
            if let entry = unsafe vectors.base?[index], let base = unsafe entry.iov_base {
                _ = unsafe append(base, byteCount: entry.iov_len)
            }
        }
        if vectors.mayShrink { noteMayShrink() }
    }
}
