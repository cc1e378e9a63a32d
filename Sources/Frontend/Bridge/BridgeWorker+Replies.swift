// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Virtqueue

extension BridgeWorker {
    /// Answers the caller of a request that the device has finished on `lane`, and gives its memory back.
    func finish(_ completion: Completion, on lane: Lane) {
        let slot = Int(completion.token)
        let request = lane.request(in: slot)
        defer { lane.release(slot) }
        if case .none = request.own, request.channel < 0 { return }
        var header = OutHeader()
        unsafe withUnsafeMutableBytes(of: &header) { unsafe lane.readReply(in: slot, into: $0) }
        let verdict = ReplyVerdict(
            header: header, written: completion.written, unique: request.unique, shape: request.shape)
        if let reads = parts.reads { observe(verdict, of: request, in: slot, of: lane, reads) }
        guard request.channel >= 0 else { return }
        switch verdict {
        case .failure(let error): answer(request.channel, request.unique, error: error)
        case .success(let count): answer(request, in: slot, of: lane, bodyByteCount: count)
        case .broken:
            BridgeLog.noteBrokenReply()
            answer(request.channel, request.unique, error: -Errno.EIO.rawValue)
        }
    }

    /// A reply without a body: an error, or 0.
    func answer(_ channel: Int32, _ unique: UInt64, error: Int32) {
        beginReply(unique, bodyByteCount: 0, error: error)
        _ = try? send(to: channel, vectorCount: 1)
    }

    private func answer(_ request: LaneRequest, in slot: Int, of lane: Lane, bodyByteCount count: Int) {
        let header = MemoryLayout<OutHeader>.size
        do throws(Errno) {
            switch request.shape {
            case .fixed(let size):
                // The kernel wants all of it; the end that an older peer does not know is zero.
                beginReply(request.unique, bodyByteCount: size, error: 0)
                let body = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch[header..<(header + size)])
                unsafe body.initializeMemory(as: UInt8.self, repeating: 0)
                unsafe lane.readReplyBody(
                    in: slot, into: UnsafeMutableRawBufferPointer(rebasing: body[..<count]))
                unsafe vectors[0].iov_len += size
                try unsafe deliver(request, body, vectorCount: 1)
            case .variable:
                beginReply(request.unique, bodyByteCount: count, error: 0)
                unsafe vectors[1] =
                    request.replyBuffer >= 0
                    ? pool[request.replyBuffer].vector(at: 0, byteCount: count)
                    : lane.replyBody(of: slot, byteCount: count)
                let body = unsafe UnsafeMutableRawBufferPointer(start: vectors[1].iov_base, count: count)
                try unsafe deliver(request, body, vectorCount: count > 0 ? 2 : 1)
            case .none, .refused: break
            }
        } catch {
            // ENOENT: the caller has gone; ENODEV: so has the mount. Anything else is a body that the kernel does not take.
            if error == .ENOENT || error == .ENODEV { return }
            BridgeLog.noteBrokenReply()
            answer(request.channel, request.unique, error: -Errno.EIO.rawValue)
        }
    }

    /// Sends a reply that lies in `vectors`, of which `body` is what follows the header.
    private func deliver(
        _ request: LaneRequest, _ body: UnsafeMutableRawBufferPointer, vectorCount: Int32
    ) throws(Errno) {
        guard let cache = parts.cache, request.question.answer != .nothing else {
            return try send(to: request.channel, vectorCount: vectorCount)
        }
        try unsafe cache.deliver(request.question, body) { () throws(Errno) in
            try send(to: request.channel, vectorCount: vectorCount)
        }
    }

    /// Puts a reply's header into private memory, as the first vector.
    func beginReply(_ unique: UInt64, bodyByteCount: Int, error: Int32) {
        var header = OutHeader()
        header.length = UInt32(clamping: MemoryLayout<OutHeader>.size + bodyByteCount)
        header.error = error
        header.unique = unique
        unsafe scratch.storeBytes(of: header, as: OutHeader.self)
        unsafe vectors[0] = iovec(iov_base: scratch.baseAddress, iov_len: MemoryLayout<OutHeader>.size)
    }

    func send(to channel: Int32, vectorCount: Int32) throws(Errno) {
        _ = try systemCall { unsafe writev(channel, vectors, vectorCount) }
    }
}

/// What a back-end does wrong, in the log: the first time and every tenfold.
enum BridgeLog {
    private static let brokenReply = RecurringEvent()

    static func noteBrokenReply() {
        Log.once(
            brokenReply, .warning, "the daemon's reply makes no sense, so a program gets an I/O error")
    }
}
