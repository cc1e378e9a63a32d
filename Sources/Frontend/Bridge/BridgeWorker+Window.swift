// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Virtqueue

/// A READ whose bytes the window has.
struct MappedRead {
    let unique: UInt64
    let pieces: RangeTable.Pieces
    let byteCount: Int
}

// What a worker does where the daemon's window is used: see `MappedReads`.
extension BridgeWorker {
    // MARK: READ

    /// Whether the window has what a READ wants; `serve` answers it then, when others may read requests again.
    func isMapped(_ header: InHeader, _ arguments: UnsafeRawBufferPointer, _ reads: MappedReads) -> Bool {
        guard arguments.count >= MemoryLayout<ReadIn>.size else { return false }
        let read = unsafe arguments.loadUnaligned(as: ReadIn.self)
        guard read.size <= BridgeMemory.dataByteCount, let pieces = reads.pieces(of: read, header.nodeID)
        else { return false }
        mappedRead = MappedRead(unique: header.unique, pieces: pieces, byteCount: Int(read.size))
        return true
    }

    /// Answers the READ that the window has, and asks the daemon for what the table wants.
    func serve(_ reads: MappedReads) throws(Errno) {
        if let read = mappedRead {
            mappedRead = nil
            if answer(read, reads) == false {
                // The file was cut, or the daemon has taken the piece away: its answer counts.
                try parts.turn.withLock { () throws(Errno) in try forwardAgain(reads) }
            }
        }
        if reads.hasTasks {
            try parts.turn.withLock { () throws(Errno) in
                while let task = reads.nextTask() {
                    if try !send(task, reads) {
                        reads.putBack(task)
                        break
                    }
                }
            }
        }
    }

    /// By way of a buffer: what faults in the middle of a reply cannot be asked for again.
    private func answer(_ read: MappedRead, _ reads: MappedReads) -> Bool {
        unsafe vectors[1] = pool[hand.spare].vector(at: 0, byteCount: read.byteCount)
        let target = unsafe UnsafeMutableRawBufferPointer(
            start: vectors[1].iov_base, count: read.byteCount)
        guard unsafe reads.copy(read.pieces, into: target) else { return false }
        beginReply(read.unique, bodyByteCount: read.byteCount, error: 0)
        do throws(Errno) {
            try send(to: channel, vectorCount: 2)
        } catch {
            // ENOENT: the caller has gone; ENODEV: so has the mount.
            if error != .ENOENT && error != .ENODEV {
                answer(channel, read.unique, error: -Errno.EIO.rawValue)
            }
        }
        return true
    }

    /// Sends the READ in `prefix` to the daemon.
    private func forwardAgain(_ reads: MappedReads) throws(Errno) {
        let size = MemoryLayout<InHeader>.size
        let message = unsafe UnsafeRawBufferPointer(rebasing: prefix[..<(size + MemoryLayout<ReadIn>.size)])
        let header = unsafe message.loadUnaligned(as: InHeader.self)
        let read = unsafe message.loadUnaligned(fromByteOffset: size, as: ReadIn.self)
        try unsafe submit(
            header.unique, .variable(Int(read.size)), WatchedRequest(), message, rest: 0,
            in: pool[hand.reading], to: parts.lane(of: header.nodeID))
    }

    // MARK: FORGET

    /// Whether the daemon hears of a FORGET later, as something of the file is mapped.
    func isLater(_ node: UInt64, _ arguments: UnsafeRawBufferPointer, _ reads: MappedReads) -> Bool {
        guard arguments.count >= MemoryLayout<ForgetIn>.size else { return false }
        return reads.forget(node, count: unsafe arguments.loadUnaligned(as: ForgetIn.self).count)
    }

    /// The same for the entries of a BATCH_FORGET: those of which something is mapped forget nothing now.
    func leaveOutMapped(_ entries: UnsafeMutableRawBufferPointer, _ reads: MappedReads) {
        let size = MemoryLayout<ForgetOne>.size
        for offset in stride(from: 0, to: entries.count / size * size, by: size) {
            var one = unsafe entries.loadUnaligned(fromByteOffset: offset, as: ForgetOne.self)
            guard reads.forget(one.nodeID, count: one.count) else { continue }
            one.count = 0
            unsafe entries.storeBytes(of: one, toByteOffset: offset, as: ForgetOne.self)
        }
    }

    // MARK: Our own requests

    /// False when there is no room for it now.
    private func send(_ task: RangeTable.Task, _ reads: MappedReads) throws(Errno) -> Bool {
        switch task {
        case .map(let range, let node, let fileOffset):
            var argument = SetupMappingIn()
            argument.handle = .max
            argument.fileOffset = fileOffset
            argument.length = RangeTable.rangeByteCount
            argument.flags = SetupMappingIn.read
            argument.windowOffset = UInt64(range) * RangeTable.rangeByteCount
            var message = OwnMessage(.setupMapping, node, reads)
            message.append(argument)
            return send(message, .map(range: Int32(range)), .fixed(0), reads)
        case .unmap(let batch, let node):
            var message = OwnMessage(.removeMapping, node, reads)
            let ranges = reads.unmapping(batch)
            message.append(UInt32(ranges.count))
            for range in ranges {
                var one = RemoveMappingOne()
                one.windowOffset = UInt64(range) * RangeTable.rangeByteCount
                one.length = RangeTable.rangeByteCount
                message.append(one)
            }
            return send(message, .unmap(batch: Int32(truncatingIfNeeded: batch)), .fixed(0), reads)
        case .attributes(let node):
            var message = OwnMessage(.getattr, node, reads)
            message.append(GetAttrIn())
            return send(
                message, .attributes(node: node), .fixed(MemoryLayout<AttrOut>.size), reads,
                watched: WatchedRequest(attributesOf: node, reads))
        case .forget(let node, let count):
            var argument = ForgetIn()
            argument.count = count
            var message = OwnMessage(.forget, node, reads)
            message.append(argument)
            try unsafe message.withBytes { (bytes) throws(Errno) in try unsafe parts.forgets.forget(bytes) }
            return true
        }
    }

    private func send(
        _ message: OwnMessage, _ own: OwnRequest, _ shape: ReplyShape, _ reads: MappedReads,
        watched: WatchedRequest = WatchedRequest()
    ) -> Bool {
        let lane = parts.lane(of: message.node)
        let request = LaneRequest(unique: message.unique, shape: shape, own: own, watched: watched)
        guard let slot = lane.take(for: request) else { return false }
        unsafe message.withBytes { unsafe lane.write($0, in: slot) }
        let readable: InlineArray<1, GuestBuffer> = [
            lane.requestPart(of: slot, byteCount: message.byteCount)
        ]
        let writable: InlineArray<1, GuestBuffer> = [
            lane.replyPart(of: slot, byteCount: MemoryLayout<OutHeader>.size + shape.room)
        ]
        do throws(Errno) {
            try lane.submit(slot, readable: readable.span, writable: writable.span)
        } catch {
            lane.release(slot)
            if error == .EAGAIN { return false }
            reads.ended(own, success: false)
        }
        return true
    }

    // MARK: Answers

    /// Takes from an answer what it says about files that may be mapped.
    func observe(
        _ verdict: ReplyVerdict, of request: LaneRequest, in slot: Int, of lane: Lane, _ reads: MappedReads
    ) {
        guard case .success(let count) = verdict else {
            reads.ended(request.own, success: false)
            return reads.ended(request.watched)
        }
        let watched = request.watched
        var size: UInt64?
        var end: UInt64 = 0
        switch watched.answer {
        case .nothing:
            if let start = watched.writesFrom, count >= MemoryLayout<WriteOut>.size {
                var reply = WriteOut()
                unsafe withUnsafeMutableBytes(of: &reply) { unsafe lane.readReplyBody(in: slot, into: $0) }
                end = start.addingReportingOverflow(UInt64(reply.size)).partialValue
            }
        case .entry:
            guard count >= MemoryLayout<EntryOut>.size else { break }
            var entry = EntryOut()
            unsafe withUnsafeMutableBytes(of: &entry) { unsafe lane.readReplyBody(in: slot, into: $0) }
            if entry.nodeID != 0 {
                reads.note(entry.nodeID, entry.attributes, askedAt: watched.moment)
            }
        case .attributes:
            guard count >= MemoryLayout<AttrOut>.size else { break }
            var reply = AttrOut()
            unsafe withUnsafeMutableBytes(of: &reply) { unsafe lane.readReplyBody(in: slot, into: $0) }
            reads.note(watched.node, reply.attributes, askedAt: watched.moment)
            size = reply.attributes.size
        case .directory:
            if request.replyBuffer >= 0 {
                observeDirectory(pool[request.replyBuffer], byteCount: count, watched.moment, reads)
            }
        }
        if watched.isChange { reads.changeEnded(watched.node, size: size, writtenTo: end) }
        reads.ended(request.own, success: true)
    }

    /// The entries of a READDIRPLUS: each `EntryOut`, `Dirent`, the name, up to a multiple of eight.
    private func observeDirectory(
        _ buffer: RAMBuffer, byteCount: Int, _ moment: UInt64, _ reads: MappedReads
    ) {
        let fixed = MemoryLayout<EntryOut>.size + MemoryLayout<Dirent>.size
        var offset = 0
        while offset <= byteCount - fixed {
            // The daemon can change the buffer, so each entry is read once.
            var one = (EntryOut(), Dirent())
            unsafe withUnsafeMutableBytes(of: &one) { unsafe buffer.copy(from: offset, into: $0) }
            if one.0.nodeID != 0 { reads.note(one.0.nodeID, one.0.attributes, askedAt: moment) }
            offset += (fixed + Int(one.1.nameLength) + 7) / 8 * 8
        }
    }
}

/// A request of ours, in private memory.
private struct OwnMessage {
    let node: UInt64
    let unique: UInt64
    private(set) var byteCount = MemoryLayout<InHeader>.size
    private var storage = InlineArray<768, UInt8>(repeating: 0)

    init(_ opcode: Opcode, _ node: UInt64, _ reads: MappedReads) {
        self.node = node
        unique = reads.makeUnique()
        var header = InHeader()
        header.length = UInt32(byteCount)
        header.opcode = opcode.rawValue
        header.unique = unique
        header.nodeID = node
        store(header, at: 0)
    }

    /// Appends an argument, and says so in the header.
    mutating func append<T: BitwiseCopyable>(_ value: T) {
        store(value, at: byteCount)
        byteCount += MemoryLayout<T>.size
        store(UInt32(byteCount), at: 0)
    }

    private mutating func store<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        var span = storage.mutableSpan
        unsafe span.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: value, toByteOffset: offset, as: T.self)
        }
    }

    func withBytes<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        try unsafe storage.span.withUnsafeBytes { (all) throws(Failure) in
            try unsafe body(UnsafeRawBufferPointer(rebasing: all[..<byteCount]))
        }
    }
}
