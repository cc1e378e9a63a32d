// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// READ of the change list (docs/agent.md).
extension CoherentFS {
    /// How long it waits for something to tell.
    private static let waitMilliseconds: Int32 = 250

    func readChanges(_ arguments: ReadIn, into data: DataVector) throws(Errno) -> Int {
        guard let caches = base.share.sharedCaches, arguments.handle == AgentNode.handle else { throw .EBADF }
        let room = ChangeList.capacity(byteCount: min(data.byteCount, SharedCaches.answerByteCount))
        guard room > 0 else { throw .EINVAL }
        return try caches.reading { () throws(Errno) in
            var list = try changes(from: arguments.offset, atMost: room)
            if !caches.agentAsks() { list.state.insert(.unwatched) }
            return try put(list.encoded(), into: data, by: caches.memory.rawValue)
        }
    }

    private func changes(from offset: UInt64, atMost room: Int) throws(Errno) -> ChangeList {
        guard offset != ChangeList.beginning else {
            return ChangeList(next: JournalReader(table).position &+ 1)
        }
        _ = base.share.sharedCaches?.agentAsks()
        let reader = JournalReader(table, from: offset &- 1)
        var list = ChangeList(next: offset)
        let deadline = Deadline(milliseconds: Self.waitMilliseconds)
        base.enterDaemon()
        while true {
            while list.changes.count < room, let event = reader.next() { add(event, to: &list) }
            list.next = reader.position &+ 1
            if !list.changes.isEmpty || list.state.contains(.missed) { return list }
            // A thread that may wait begins anew.
            if !base.mayWait { throw .mustWait }
            if deadline.hasPassed { return list }
            reader.wait(atMost: deadline.remainingMilliseconds)
        }
    }

    private func add(_ event: JournalReader.Event, to list: inout ChangeList) {
        switch event {
        case .missed: list.state.insert(.missed)
        case .record(let record, _) where record.kind == .everything: list.state.insert(.missed)
        case .record(let record, let sequence):
            if let change = change(record, sequence) { list.changes.append(change) }
        }
    }

    /// nil: the guest has done it, or knows nothing of it.
    private func change(_ record: JournalRecord, _ sequence: UInt64) -> Change? {
        guard record.kind != .revocation, record.origin != table.origin else { return nil }
        let object = record.object.flatMap { base.share.inodes.find($0) }
        let parent = record.parent.flatMap { base.share.inodes.find($0) }
        var change = Change(record.kind, sequence: sequence)
        change.object = object?.node.rawValue
        change.pair = record.pair
        if let parent, !record.name.isEmpty {
            change.parent = parent.node.rawValue
            change.name = record.name
        }
        switch record.kind {
        case .created, .removed, .movedAway, .movedHere:
            guard change.parent != nil else { return nil }
        default:
            guard change.parent != nil || object != nil else { return nil }
        }
        let type: UInt32? =
            switch record.kind {
            case .movedAway: nil
            case .removed: object.flatMap { hasName($0.node) ? $0.type : nil }
            case .created, .movedHere: parent.flatMap { typeNow($0.node, record.name) }
            default: object?.type ?? parent.flatMap { typeNow($0.node, record.name) }
            }
        change.type = UInt8(truncatingIfNeeded: (type ?? 0) >> 12)
        return change
    }

    /// Whether an object has a name left.
    private func hasName(_ node: NodeID) -> Bool {
        defer { base.pins.clear() }
        guard let number = try? base.descriptor(of: node), let status = try? FileStatus(of: number) else {
            return false
        }
        return status.raw.stx_nlink > 0
    }

    private func typeNow(_ parent: NodeID, _ name: [UInt8]) -> UInt32? {
        let text = name.map { CChar(bitPattern: $0) } + [0]
        // Of any number of directories in one request.
        defer { base.pins.clear() }
        guard let directory = try? base.descriptor(of: parent) else { return nil }
        return (unsafe try? FileStatus(directory, text))?.type
    }

    /// The kernel puts it into the guest's pages, as everything that is read.
    private func put(_ bytes: [UInt8], into data: DataVector, by memory: Int32) throws(Errno) -> Int {
        var bytes = bytes
        // SAFETY: the vector is of `bytes`, for as long as the call lasts.
        let failure = unsafe bytes.withUnsafeMutableBytes { bytes -> Errno? in
            var vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            do throws(Errno) {
                _ = try unsafe writeVectors(memory, &vector, count: 1, at: 0, flags: 0)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
        var (vectors, total) = (VectorCursor(data.shortened(to: bytes.count)), 0)
        while total < bytes.count, let piece = unsafe vectors.piece {
            let count = try unsafe readVectors(memory, piece.vectors, count: piece.count, at: total)
            guard count > 0 else { break }
            total += count
            vectors.advance(by: count)
        }
        return total
    }
}
