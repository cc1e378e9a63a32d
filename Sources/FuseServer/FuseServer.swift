// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// What became of a request.
public enum Outcome: Equatable, Sendable {
    /// The first `scratchByteCount` bytes of the reply are in the scratch, beginning with the `fuse_out_header`;
    /// `directByteCount` more are already in the guest's pages. Their sum is `used.len` and the header's length.
    case reply(scratchByteCount: Int, directByteCount: Int)
    /// The request gets no reply: used.len is 0.
    case noReply
    /// A `DeferredReply` will be completed; the chain stays in flight until then.
    case deferred
    /// Nothing was done: the request has to be handled by a file system that may wait, unless the `DeferralSource` has taken it.
    case mustWait
}

/// Answers FUSE requests with the operations of one `FileSystem`: one object for each worker, used by its thread only.
///
/// It is total: whatever bytes the guest sends, the request gets an answer and the next one is served. It allocates
/// nothing. The methods that answer each opcode are in the files named `FuseServer+…`.
public final class FuseServer {
    public let session: FuseSession
    public var refusals: RefusalCounters { counted }
    private var counted = RefusalCounters()
    /// What was wrong with the request that was handled last; nil when it was well-formed.
    public var lastRefusal: WireError? { refusal }
    private var refusal: WireError?
    let fileSystem: any FileSystem
    private let counts: RequestCounts

    public init(fileSystem: any FileSystem, session: FuseSession) {
        self.fileSystem = fileSystem
        self.session = session
        counts = session.makeCounts()
    }

    /// The arguments of a WRITE end here and its data begins; as much of any request is enough for `inlineByteCount`.
    public static let writeDataOffset = MemoryLayout<InHeader>.size + MemoryLayout<WriteIn>.size
    /// The longest request that is not a WRITE, so the size of the scratch for requests: a BATCH_FORGET of 64 Ki entries.
    public static let maximumInlineByteCount = (1 << 20) + 4096
    /// The size of the scratch for replies; only READ has longer ones, which never pass through it.
    public static let replyScratchByteCount = (1 << 20) + 4096

    /// How many bytes from the front of a request of `totalByteCount` bytes `handle` needs as a private copy.
    ///
    /// `prefix` is the private copy of its first `writeDataOffset` bytes, or of all if it has fewer. A request that is too
    /// long to be served is not worth the copy; its prefix is enough to refuse it.
    public static func inlineByteCount(prefix: UnsafeRawBufferPointer, totalByteCount: Int) -> Int {
        let opcodeOffset = 4
        guard prefix.count >= opcodeOffset + 4, totalByteCount <= maximumInlineByteCount,
            unsafe prefix.loadUnaligned(fromByteOffset: opcodeOffset, as: UInt32.self)
                != Opcode.write.rawValue
        else { return min(totalByteCount, writeDataOffset) }
        return totalByteCount
    }

    /// The whole reply of a request that was deferred. `error` nil is success.
    public static func headerOnlyReply(to unique: Unique, error: Errno?) -> OutHeader {
        var header = OutHeader()
        header.length = UInt32(MemoryLayout<OutHeader>.size)
        header.unique = unique.rawValue
        // The protocol has room for error numbers below 512 only.
        if let error { header.error = 1...511 ~= error.rawValue ? -error.rawValue : -Errno.EIO.rawValue }
        return header
    }

    /// The header of the reply to a READ that a `DeferralSource` took, when `count` bytes are in their place.
    public func replyToRead(_ unique: Unique, count: Int) -> OutHeader {
        counts.count(.read)
        var header = Self.headerOnlyReply(to: unique, error: nil)
        header.length += UInt32(clamping: count)
        return header
    }

    /// Handles one request.
    ///
    /// - Parameters:
    ///   - message: the private copy of its first `inlineByteCount` bytes.
    ///   - totalByteCount: how many readable bytes its chain has.
    ///   - data: for a WRITE, the readable bytes from `writeDataOffset` on; nobody looks at it else.
    ///   - replyScratch: private memory for the reply.
    ///   - replyCapacity: how many writable bytes the chain has.
    ///   - replyData: the writable bytes behind the `fuse_out_header`, for READ; likewise. Its entries may get shortened.
    public func handle(
        message: UnsafeRawBufferPointer, totalByteCount: Int, data: DataVector,
        replyScratch: UnsafeMutableRawBufferPointer, replyCapacity: Int, replyData: DataVector,
        deferrals: any DeferralSource
    ) -> Outcome {
        let headerSize = MemoryLayout<OutHeader>.size
        let capacity = min(replyScratch.count, replyCapacity) - headerSize
        guard let scratch = replyScratch.baseAddress else { return .noReply }
        var request = unsafe Request(
            message: message, data: data, replyBase: scratch + headerSize, replyCapacity: capacity,
            replyData: replyData)
        // A header that is cut names no operation, though it may name the request.
        let isWhole = message.count >= MemoryLayout<InHeader>.size
        let opcode = isWhole ? Opcode(rawValue: request.header.opcode) : nil
        let silent = opcode?.isSilent ?? false

        var failure: Errno?
        var answer = Answer.empty
        do throws(Errno) {
            try request.open(opcode, totalByteCount: totalByteCount, agreedFlags: session.flags)
            guard silent || capacity >= 0 else { throw request.refuse(.noReplyRoom) }
            guard session.isRunning || opcode == .initialize else { throw request.refuse(.noSession) }
            guard let opcode else { throw request.refuse(.unknownOpcode) }
            fileSystem.requestBegan()
            defer { fileSystem.requestEnded() }
            answer = try dispatch(opcode, &request, deferrals: deferrals)
        } catch {
            failure = error
        }
        refusal = request.refusal
        if let refusal { counted.count(refusal) }
        // Counted when it has been carried out.
        if failure == .mustWait { return .mustWait }
        counts.count(opcode)
        if silent || capacity < 0 { return .noReply }
        return unsafe finish(
            answer, failure, unique: Unique(rawValue: request.header.unique), scratch: scratch)
    }

    /// To be called when the guest has the answer to what `handle` handled last.
    public func answered() { fileSystem.requestAnswered() }

    /// Puts the header before the body.
    private func finish(
        _ answer: Answer, _ failure: Errno?, unique: Unique, scratch: UnsafeMutableRawPointer
    ) -> Outcome {
        var header = Self.headerOnlyReply(to: unique, error: failure)
        let headerSize = MemoryLayout<OutHeader>.size
        var body = 0
        var direct = 0
        switch answer {
        case _ where failure != nil: break
        case .body(let byteCount): body = byteCount
        case .direct(let byteCount): direct = byteCount
        case .deferred: return .deferred
        case .silent: return .noReply
        }
        header.length = UInt32(clamping: headerSize + body + direct)
        // SAFETY: the scratch has room for a header, as `capacity` was not negative.
        unsafe scratch.storeBytes(of: header, as: OutHeader.self)
        return .reply(scratchByteCount: headerSize + body, directByteCount: direct)
    }
}
