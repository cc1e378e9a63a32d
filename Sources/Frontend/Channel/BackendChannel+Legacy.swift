// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser

// The requests of back-ends from before the specification had any: see `LegacyMapMessage`.
extension BackendChannel {
    func performLegacy(_ kind: LegacyMapKind, _ message: inout Message) throws(VhostUserError) -> Result {
        let steps = try LegacyMapMessage(decoding: message.payload, as: kind.layout)
        switch kind.operation {
        case .map:
            let file = try onlyDescriptor(of: &message)
            return answer { () throws(Errno) in try map(steps.entries, of: file.rawValue) }
        case .transfer:
            let file = try onlyDescriptor(of: &message)
            return answer { () throws(Errno) in try transfer(steps, file.rawValue) }
        case .unmap:
            try noDescriptor(in: message)
            return answer { () throws(Errno) in try unmap(steps.entries) }
        case .synchronize:
            try noDescriptor(in: message)
            return answer { () throws(Errno) in
                let window = try cache
                for step in steps.entries { try window.synchronize(step.windowOffset, length: step.length) }
                return 0
            }
        }
    }

    /// A count, or a negative error number.
    private func answer(_ body: () throws(Errno) -> Int) -> Result {
        do throws(Errno) {
            return Result(answer: UInt64(try body()))
        } catch {
            return Result(answer: UInt64(bitPattern: -Int64(error.rawValue)), error: error)
        }
    }

    private var cache: SharedMemoryWindow {
        get throws(Errno) {
            guard let window = windows[SharedMemoryWindows.cacheID] else { throw .EINVAL }
            return window
        }
    }

    /// All steps or none; what was mapped there before is gone either way.
    private func map(_ steps: [LegacyMapEntry], of file: Int32) throws(Errno) -> Int {
        let window = try cache
        for (index, step) in steps.enumerated() {
            do throws(Errno) {
                guard step.flags & (LegacyMapEntry.readFlag | LegacyMapEntry.writeFlag) != 0 else {
                    throw .EINVAL
                }
                try window.map(
                    file, fileOffset: step.fileOffset, at: step.windowOffset, length: step.length,
                    writable: step.flags & LegacyMapEntry.writeFlag != 0, replacing: true)
            } catch {
                for done in steps[..<index] {
                    try window.unmap(done.windowOffset, length: done.length)
                }
                throw error
            }
        }
        return 0
    }

    private func unmap(_ steps: [LegacyMapEntry]) throws(Errno) -> Int {
        let window = try cache
        for step in steps {
            if step.length == LegacyMapEntry.wholeWindow {
                try window.unmapAll()
            } else {
                try window.unmap(step.windowOffset, length: step.length)
            }
        }
        return 0
    }

    /// Moves bytes between a file and guest memory, for a back-end that has no mapping of that memory; returns how many.
    private func transfer(_ message: LegacyMapMessage, _ file: Int32) throws(Errno) -> Int {
        guard try isRegularFile(file) else { throw .EINVAL }
        var total = 0
        for step in message.entries {
            let moved = try transfer(step, file, losesSetIDBits: message.losesSetIDBits)
            // Each step lies in guest memory, so a message moves less than 2^63 bytes.
            total += moved
            if UInt64(moved) < step.length { break }
        }
        return total
    }

    private func transfer(_ step: LegacyMapEntry, _ file: Int32, losesSetIDBits: Bool) throws(Errno) -> Int {
        guard let length = Int(exactly: step.length), let offset = Int(exactly: step.fileOffset),
            !offset.addingReportingOverflow(length).overflow,
            step.flags == LegacyMapEntry.readFlag || step.flags == LegacyMapEntry.writeFlag
        else { throw .EINVAL }
        let reads = step.flags == LegacyMapEntry.readFlag
        pieces.removeAll()
        do throws(MemoryFault) {
            try memory.append(GuestAddress(step.windowOffset), byteCount: length, to: pieces)
        } catch {
            throw .EFAULT
        }
        var done = 0
        while done < length {
            let vectors = pieces.window(from: done, atMost: length - done)
            guard let base = unsafe vectors.base else { break }
            let count = Int32(truncatingIfNeeded: vectors.count)
            let moved =
                if reads {
                    try unsafe readVectors(file, base, count: count, at: offset + done)
                } else if losesSetIDBits {
                    try losingSetIDBits { () throws(Errno) in
                        try unsafe writeVectors(file, base, count: count, at: offset + done, flags: 0)
                    }
                } else {
                    try unsafe writeVectors(file, base, count: count, at: offset + done, flags: 0)
                }
            if moved == 0 { break }
            done += moved
        }
        return done
    }
}
