// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS

extension Lane {
    /// Checks the reply to `step` as Linux does and takes from it what later steps need.
    ///
    /// - Parameter written: how much the device says it wrote; never more than there is room for.
    /// - Returns: false when the step has to be sent again for more (READDIRPLUS).
    func accept(_ step: Step, of script: Script, written: Int) throws(BenchFailure) -> Bool {
        let head = MemoryLayout<OutHeader>.size
        let room = room(for: step, of: script)
        memory.fetchReply(byteCount: min(written, head + room.argumentByteCount))
        guard written >= head else { throw bad(step, "a reply of \(written) bytes") }
        let header = memory.replyValue(OutHeader.self, at: 0)
        guard Int(header.length) == written else {
            throw bad(step, "a reply of \(written) bytes that says it has \(header.length)")
        }
        guard header.unique == unique else { throw bad(step, "a reply to another request") }
        guard (-511...0).contains(header.error), header.error == 0 || written == head else {
            throw bad(step, "an error reply that is none (\(header.error), \(written) bytes)")
        }
        if header.error != 0 {
            try accept(error: Errno(rawValue: -header.error), of: step)
            return true
        }
        let body = written - head
        if case .list(_, _, let entries) = step { return try takeListing(step, body, entries) }
        if case .readlink(_, let target) = step {
            guard body == text(target, script).count else { throw bad(step, "a target of \(body) bytes") }
            return true
        }
        guard body == room.argumentByteCount + room.dataByteCount else {
            throw bad(
                step, "a body of \(body) bytes, not of \(room.argumentByteCount + room.dataByteCount)")
        }
        try take(step, script)
        return true
    }

    private func accept(error: Errno, of step: Step) throws(BenchFailure) {
        if case .lookupMissing = step, error == .ENOENT { return }
        if error == .ENOSYS || error == .EOPNOTSUPP { throw .unsupported(step.opcode.text) }
        throw .failed("\(step.opcode.text): \(BenchFailure.text(error))")
    }

    private func bad(_ step: Step, _ what: String) -> BenchFailure {
        .failed("\(step.opcode.text): the daemon gave \(what) (\(BenchFailure.text(.EPROTO)))")
    }

    /// Keeps nodeids and handles, and checks what the reply says.
    private func take(_ step: Step, _ script: Script) throws(BenchFailure) {
        switch step {
        case .lookup(_, _, let slot), .mkdir(_, _, let slot), .symlink(_, _, _, let slot):
            knowledge[slot] = try node(step)
        case .lookupMissing:
            // A negative entry has nodeid 0.
            guard memory.replyValue(EntryOut.self).nodeID == 0 else {
                throw bad(step, "an entry for a name that is not there")
            }
        case .create(_, _, let slot, let handle):
            knowledge[slot] = try node(step)
            knowledge[handle] = memory.replyValue(CreateOut.self).open.handle
        case .open(_, let handle, _): knowledge[handle] = memory.replyValue(OpenOut.self).handle
        case .opendir(_, let handle):
            knowledge[handle] = memory.replyValue(OpenOut.self).handle
            listed.removeAll(keepingCapacity: true)
            listingOffset = 0
        case .write(_, _, _, let size):
            let count = memory.replyValue(WriteOut.self).size
            guard count == size else { throw bad(step, "\(count) bytes as written of \(size)") }
        case .getxattr(_, _, let value):
            guard memory.replyHas(text(value, script)) else { throw bad(step, "another value") }
        default: break
        }
    }

    private func node(_ step: Step) throws(BenchFailure) -> UInt64 {
        let node = memory.replyValue(EntryOut.self).nodeID
        guard node != 0, node != NodeID.root.rawValue else { throw bad(step, "an entry with nodeid \(node)") }
        return node
    }

    private func takeListing(_ step: Step, _ byteCount: Int, _ entries: Int) throws(BenchFailure) -> Bool {
        do throws(ListingError) {
            return try !takeListing(byteCount: byteCount, expected: entries)
        } catch {
            throw bad(step, error.text)
        }
    }
}
