// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS

// What the VMM is asked to show. A chunk is one piece, or two at the end of a file that somebody has made shorter.
//
// What the VMM would not take away stays on record (`State.stale`), and is asked for again when its place is used the next time, and at
// INIT and DESTROY. Where a chunk is, nothing else is on record.
extension DAXWindow {
    struct Part {
        let file: Int32
        let piece: WindowPiece
    }

    func pieces(of chunk: Chunk, at index: Int) -> [Part] {
        let offset = UInt64(index) * Self.chunkByteCount
        var parts: [Part] = []
        if chunk.byteCount > 0 {
            parts.append(
                Part(
                    file: chunk.file.shown,
                    piece: WindowPiece(
                        offset: offset, byteCount: chunk.byteCount, fileOffset: chunk.fileOffset)))
        }
        if chunk.byteCount < Self.chunkByteCount {
            parts.append(
                Part(
                    file: zeros.rawValue,
                    piece: WindowPiece(
                        offset: offset + chunk.byteCount, byteCount: Self.chunkByteCount - chunk.byteCount,
                        fileOffset: chunk.byteCount)))
        }
        return parts
    }

    /// How many the VMM has, those included that it would not take away.
    func pieceCount(_ state: State) -> Int {
        state.chunks.reduce(state.stale.count) { sum, chunk in
            sum + (chunk?.pieceCount ?? 0)
        }
    }

    /// Shows `chunk` where no chunk is. After an error nothing of it is shown, or what is left is on record.
    func map(_ chunk: Chunk, at index: Int, writable: Bool, _ state: inout State) throws(Errno) {
        _ = takeLeftovers(at: index, &state)
        let parts = pieces(of: chunk, at: index)
        for (number, part) in parts.enumerated() {
            do throws(Errno) {
                try window.map(part.file, part.piece, writable: writable)
            } catch {
                for earlier in parts[..<number] { takeAway(earlier.piece, &state) }
                throw error
            }
            // A VMM that takes this has nothing else there any more.
            state.stale.removeAll { part.piece.overlaps($0) }
        }
    }

    func takeAway(_ piece: WindowPiece, _ state: inout State) {
        do throws(Errno) { try window.unmap(piece) } catch { state.stale.append(piece) }
    }

    /// Asks once more for what could not be taken away at the chunk's place. Whether there was any.
    func takeLeftovers(at index: Int, _ state: inout State) -> Bool {
        let leftovers = state.stale.filter { Int($0.offset / Self.chunkByteCount) == index }
        if leftovers.isEmpty { return false }
        state.stale.removeAll(where: leftovers.contains)
        for piece in leftovers { takeAway(piece, &state) }
        return true
    }
}

extension WindowPiece {
    fileprivate func overlaps(_ other: WindowPiece) -> Bool {
        offset < other.offset + other.byteCount && other.offset < offset + byteCount
    }
}
