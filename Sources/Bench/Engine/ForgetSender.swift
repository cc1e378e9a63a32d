// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import GuestMemory
import Virtqueue

/// Sends FORGETs on the hiprio queue as Linux does: 48 bytes in one descriptor, without room for a reply. Nobody waits for
/// their completion, but only so many can be on their way.
struct ForgetSender {
    static let slots = 128
    private static let slotByteCount = 64
    static let byteCount = slots * slotByteCount
    private static let requestByteCount = MemoryLayout<InHeader>.size + MemoryLayout<ForgetIn>.size

    let queue: ChainQueue
    private let buffer: RAMBuffer
    private var free: [UInt32]
    private var pieces: [GuestBuffer]

    init(queue: ChainQueue, buffer: RAMBuffer) {
        self.queue = queue
        self.buffer = buffer
        free = (0..<UInt32(Self.slots)).reversed()
        pieces = [buffer.part(at: 0, byteCount: Self.requestByteCount)]
    }

    var hasFreeSlot: Bool { !free.isEmpty }

    /// Sends one, unless all slots are on their way (false).
    mutating func send(_ header: InHeader, count: UInt64) throws(Errno) -> Bool {
        if free.isEmpty { return false }
        let slot = free[free.count - 1]
        var request = (header, ForgetIn())
        request.0.length = UInt32(Self.requestByteCount)
        request.1.count = count
        let offset = Int(slot) * Self.slotByteCount
        // SAFETY: two wire structs of 40 and 8 bytes, without padding between them.
        unsafe withUnsafeBytes(of: &request) { unsafe buffer.copy($0, at: offset) }
        pieces[0] = buffer.part(at: offset, byteCount: Self.requestByteCount)
        try queue.submit(readable: pieces.span, writable: Span(), token: slot, table: nil)
        free.removeLast()
        return true
    }

    /// Takes back the slot of a completed one.
    mutating func complete(_ completion: Completion) throws(Errno) {
        guard completion.written == 0 else { throw .EPROTO }
        free.append(completion.token)
    }
}
