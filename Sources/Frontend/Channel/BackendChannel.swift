// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser

/// Serves the back-end's own requests: it maps files into the shared memory windows.
///
/// One thread uses it: poll `descriptor`, then `serveOne()`. Not the thread that waits for answers on the session: a back-end
/// may need us here before it can answer there.
package final class BackendChannel {
    private let connection: Connection
    let windows: SharedMemoryWindows
    let memory: GuestMemory
    /// Whether the windows are those of GET_SHMEM_CONFIG; otherwise window 0 is the legacy cache.
    private let isStandard: Bool
    /// Who tells the back-end of what it has mapped; nil: nobody.
    private let announcer: PieceAnnouncer?
    /// Guest memory that a legacy back-end reads or writes through us.
    let pieces = IOVectorList(capacity: 1024)

    /// What became of a request.
    package enum Outcome: Equatable, Sendable {
        case served(request: UInt32)
        /// It was in order as a message, and impossible; the back-end was told if it wanted to be.
        case refused(request: UInt32, Errno)
    }

    /// - Parameters:
    ///   - memory: what a legacy back-end reads or writes through us; a standard one never asks for that.
    ///   - announcer: tells the back-end of what it has mapped.
    package init(
        _ connection: Connection, windows: SharedMemoryWindows, memory: GuestMemory, isStandard: Bool,
        announcer: PieceAnnouncer? = nil
    ) {
        self.connection = connection
        self.windows = windows
        self.memory = memory
        self.isStandard = isStandard
        self.announcer = announcer
    }

    /// Readable when there is a request, or the channel has ended.
    package var descriptor: Int32 { connection.descriptor.rawValue }

    /// Takes one request, carries it out and answers it.
    ///
    /// - Throws: when the channel is over: the back-end closed it (`disconnected`) or sent what is no message. With
    ///   `FrontendOptions.announcesPieces` also when the back-end does not take what it has mapped itself.
    package func serveOne() throws(VhostUserError) -> Outcome {
        var message = try connection.receive()
        let header = message.header
        guard header.flags.subtracting(.needReply) == .request else {
            throw .unexpectedMessage(request: header.request, flags: header.flags.rawValue)
        }
        let result = try perform(&message)
        if header.flags.contains(.needReply) {
            try connection.send(
                request: header.request, flags: .answer, payload: result.answer.encodedPayload)
        }
        try announcer?.announce()
        if let error = result.error { return .refused(request: header.request, error) }
        return .served(request: header.request)
    }

    /// A request's end, as both sides hear of it.
    struct Result {
        var answer: UInt64 = 0
        var error: Errno?

        static let served = Result()
        /// QEMU's way: any error is 1.
        static func refused(_ error: Errno) -> Result { Result(answer: 1, error: error) }
    }

    private func perform(_ message: inout Message) throws(VhostUserError) -> Result {
        let (number, size) = (message.header.request, message.payload.count)
        if !isStandard, let kind = LegacyMapKind(request: number, payloadByteCount: size) {
            return try performLegacy(kind, &message)
        }
        switch BackendRequest(rawValue: number) {
        case .configurationChanged:
            guard size == 0 else { throw .payloadSize(size) }
            return .served
        case .sharedMemoryMap where isStandard:
            let file = try onlyDescriptor(of: &message)
            let mapping = try SharedMemoryMapping(decoding: message.payload)
            return carryOut { () throws(Errno) in
                guard let window = windows[mapping.regionID] else { throw .EINVAL }
                try window.map(
                    file.rawValue, fileOffset: mapping.fileOffset, at: mapping.regionOffset,
                    length: mapping.length,
                    writable: mapping.flags & SharedMemoryMapping.writableFlag != 0)
                announcer?.note(mapped: mapping, try file.duplicate())
            }
        case .sharedMemoryUnmap where isStandard:
            try noDescriptor(in: message)
            let mapping = try SharedMemoryMapping(decoding: message.payload)
            return carryOut { () throws(Errno) in
                guard let window = windows[mapping.regionID] else { throw .EINVAL }
                try window.unmap(exactly: mapping.regionOffset, length: mapping.length)
                announcer?.note(unmappedAt: mapping.regionOffset, of: mapping.regionID)
            }
        default: return .refused(.EOPNOTSUPP)
        }
    }

    private func carryOut(_ body: () throws(Errno) -> Void) -> Result {
        do throws(Errno) { try body() } catch { return .refused(error) }
        return .served
    }

    func onlyDescriptor(of message: inout Message) throws(VhostUserError) -> OwnedDescriptor {
        let count = message.descriptors.count
        guard count == 1, let file = message.descriptors.takeFirst() else { throw .descriptorCount(count) }
        return file
    }

    func noDescriptor(in message: borrowing Message) throws(VhostUserError) {
        let count = message.descriptors.count
        guard count == 0 else { throw .descriptorCount(count) }
    }
}
