// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import Glibc
import HostOS
import Synchronization
import VhostUser

/// What the VMM understands on the back-end channel.
package enum MappingDialect: String, CaseIterable, Sendable {
    /// SHMEM_MAP and SHMEM_UNMAP of the vhost-user specification: QEMU 11, crosvm, `virtiofs mount`.
    case shmem
    /// FS_MAP and FS_UNMAP of the virtio-fs developers' QEMU until 2020: eight pieces as arrays.
    case fsMap = "fs-map"
    /// The same of 2021: a list of pieces.
    case fsMapList = "fs-map-list"
}

/// The DAX window: our requests to the front-end, one at a time.
///
/// QEMU 11.1 dies of a request that it reads while the device is not started, so none is sent before a ring runs and
/// none once the front-end begins to stop them; one that is on its way then is given up, because a front-end that waits for us does
/// not answer. The thread of the front-end's own requests waits for nothing here but the end of such a step.
package final class MappingChannel: FileWindow {
    package let byteCount: Int
    package let dialect: MappingDialect

    private struct State {
        var connection: Connection?
        /// Requests whose answer had not come when they were given up, oldest first.
        var unanswered: [Question] = []
        /// What each piece shows, by its place in the window; it stays until the front-end has said that it is gone.
        var pieces: [UInt64: FileKey] = [:]
        var record = MappingRecord()
        /// How often this front-end has been waited for in vain to tell of a piece.
        var silences = 0
    }
    private let state = Mutex(State())
    private let negotiated = Atomic<Bool>(false)
    private let isOpen = Atomic<Bool>(false)
    /// Signalled while closed.
    private let closing: EventFD
    /// Signalled when the front-end has told of a piece as guest memory, and whether it ever did.
    private let announced: EventFD
    private let announces = Atomic<Bool>(false)
    /// How many pieces show each file, for the control thread, which does not wait for `state`.
    private let files = Mutex<[FileKey: Int]>([:])

    /// How long the VMM may take to answer. A guest's access to a file waits as long.
    private static let answerMilliseconds: Int32 = 5000
    /// How long after the answer QEMU may take to tell us of the piece; it took 2.5 ms at most.
    private static let announcementMilliseconds: Int32 = 50
    /// How long, and how often, one that has never done so may take.
    private static let doubtMilliseconds: Int32 = 10
    private static let mostSilences = 3

    /// - Parameter byteCount: a power of two.
    package init(byteCount: Int, dialect: MappingDialect = .shmem) throws(Errno) {
        self.byteCount = byteCount
        self.dialect = dialect
        closing = try EventFD()
        announced = try EventFD()
    }

    package var isUsable: Bool { negotiated.load(ordering: .acquiring) }

    // MARK: For the control thread

    /// The outcome of SET_PROTOCOL_FEATURES.
    func negotiate(_ features: ProtocolFeatures) {
        var needed: ProtocolFeatures = [.backendChannel, .replyAck]
        if dialect == .shmem { needed.insert(.sharedMemory) }
        negotiated.store(features.contains(needed), ordering: .releasing)
    }

    /// SET_BACKEND_REQ_FD.
    func attach(_ socket: consuming OwnedDescriptor) throws(Errno) {
        let connection = try Connection(adopting: socket)
        close()
        state.withLock { $0 = State(connection: connection) }
        files.withLock { $0.removeAll() }
    }

    /// A ring runs: requests may be sent.
    func open() {
        closing.clear()
        isOpen.store(true, ordering: .releasing)
    }

    /// The front-end stops the device: no request is sent from now on, and nobody waits for an answer.
    func close() {
        isOpen.store(false, ordering: .releasing)
        closing.signal()
        state.withLock { _ in }
    }

    /// The front-end is gone.
    func detach() {
        close()
        state.withLock {
            if let text = $0.record.text { Log.debug(text) }
            $0 = State()
        }
        files.withLock { $0.removeAll() }
        negotiated.store(false, ordering: .releasing)
        announces.store(false, ordering: .relaxed)
    }

    /// Whether `file` is one that some piece shows: it may shrink.
    func shows(_ file: Int32) -> Bool {
        guard let status = try? FileStatus(of: file) else { return false }
        return files.withLock { $0[FileKey(status)] != nil }
    }

    /// A region of guest memory that shows a piece has been added.
    func noteAnnouncement() {
        announces.store(true, ordering: .relaxed)
        announced.signal()
    }

    // MARK: Pieces

    package func map(_ file: Int32, _ piece: WindowPiece, writable: Bool) throws(Errno) {
        let key = FileKey(try FileStatus(of: file))
        // Before the front-end can tell of it.
        files.withLock { $0[key, default: 0] += 1 }
        do throws(Errno) {
            try state.withLock { (state) throws(Errno) in
                announced.clear()
                let began = monotonicNanoseconds()
                try ask(Question(piece: piece, isMap: true), writable, [file], &state)
                if let earlier = state.pieces.updateValue(key, forKey: piece.offset) { forget(earlier) }
                awaitAnnouncement(&state)
                state.record.maps.add(monotonicNanoseconds() - began)
            }
        } catch {
            forget(key)
            throw error
        }
    }

    package func unmap(_ piece: WindowPiece) throws(Errno) {
        try state.withLock { (state) throws(Errno) in
            let began = monotonicNanoseconds()
            try ask(Question(piece: piece, isMap: false), false, [], &state)
            hasGone(piece, &state)
            state.record.unmaps.add(monotonicNanoseconds() - began)
        }
    }

    private func hasGone(_ piece: WindowPiece, _ state: inout State) {
        if let key = state.pieces.removeValue(forKey: piece.offset) { forget(key) }
    }

    private func forget(_ key: FileKey) {
        files.withLock {
            guard let count = $0[key] else { return }
            $0[key] = count > 1 ? count - 1 : nil
        }
    }

    /// A guest that uses the piece as a buffer of its next request expects us to know the addresses.
    private func awaitAnnouncement(_ state: inout State) {
        let isKnown = announces.load(ordering: .relaxed)
        guard isKnown || state.silences < Self.mostSilences else { return }
        let ready = waitReadable(
            announced.descriptor.rawValue, closing.descriptor.rawValue,
            timeoutMilliseconds: isKnown ? Self.announcementMilliseconds : Self.doubtMilliseconds)
        if ready == 0 { state.silences += 1 }
    }

    // MARK: Messages

    private struct Question {
        let piece: WindowPiece
        let isMap: Bool
    }

    private func ask(
        _ question: Question, _ writable: Bool, _ files: [Int32], _ state: inout State
    ) throws(Errno) {
        guard isUsable, isOpen.load(ordering: .acquiring), let connection = state.connection else {
            throw .EIO
        }
        do throws(VhostUserError) {
            try settle(connection, &state)
            try send(question, writable, files, connection)
            guard let answer = try awaitAnswer(question, connection) else {
                state.unanswered.append(question)
                throw VhostUserError.timedOut
            }
            // One, or a negative error number from the old ones.
            guard answer == 0 else { throw VhostUserError.negativeReply(answer) }
        } catch .negativeReply {
            throw .EIO
        } catch .timedOut {
            throw .EIO
        } catch {
            Log.error("the back-end channel ends, and with it DAX: \(error)")
            state.connection = nil
            throw .EIO
        }
    }

    /// Takes the answers to what was given up. A piece that has appeared after all goes away again.
    private func settle(_ connection: Connection, _ state: inout State) throws(VhostUserError) {
        while let late = state.unanswered.first {
            guard let answer = try awaitAnswer(late, connection) else { throw .timedOut }
            state.unanswered.removeFirst()
            guard answer == 0 else { continue }
            if !late.isMap {
                hasGone(late.piece, &state)
                continue
            }
            let undo = Question(piece: late.piece, isMap: false)
            try send(undo, false, [], connection)
            state.unanswered.append(undo)
        }
    }

    private func send(
        _ question: Question, _ writable: Bool, _ files: [Int32], _ connection: Connection
    ) throws(VhostUserError) {
        let (number, payload) = message(question, writable)
        try connection.send(
            request: number, flags: [.request, .needReply], payload: payload, descriptors: files)
    }

    private func message(_ question: Question, _ writable: Bool) -> (UInt32, [UInt8]) {
        let piece = question.piece
        if dialect == .shmem {
            let request = question.isMap ? BackendRequest.sharedMemoryMap : .sharedMemoryUnmap
            let mapping = SharedMemoryMapping(
                regionID: 0, fileOffset: piece.fileOffset, regionOffset: piece.offset,
                length: piece.byteCount,
                flags: writable ? SharedMemoryMapping.writableFlag : 0)
            return (request.rawValue, mapping.encoded)
        }
        let entry = LegacyMapEntry(
            fileOffset: piece.fileOffset, windowOffset: piece.offset, length: piece.byteCount,
            flags: LegacyMapEntry.readFlag | (writable ? LegacyMapEntry.writeFlag : 0))
        let message = LegacyMapMessage([entry])
        return (
            question.isMap ? LegacyMapKind.mapNumber : LegacyMapKind.unmapNumber,
            dialect == .fsMap ? message.encodedArrays : message.encodedList
        )
    }

    /// The number that the answer holds; nil when the device is stopped first, or the front-end takes too long.
    private func awaitAnswer(_ question: Question, _ connection: Connection) throws(VhostUserError) -> UInt64?
    {
        let ready = waitReadable(
            connection.descriptor.rawValue, closing.descriptor.rawValue,
            timeoutMilliseconds: Self.answerMilliseconds)
        guard ready & 0b01 != 0 else { return nil }
        let answer = try connection.receive(timeout: 0)
        let (number, _) = message(question, false)
        guard answer.header.flags == .answer, answer.header.request == number, answer.descriptors.count == 0
        else {
            throw .unexpectedMessage(
                request: answer.header.request, flags: answer.header.flags.rawValue)
        }
        return try UInt64(decodingPayload: answer.payload)
    }
}
