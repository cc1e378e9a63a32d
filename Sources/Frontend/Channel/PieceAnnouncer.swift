// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization
import VhostUser

/// Tells the back-end that what it has mapped into a window is guest memory now, as QEMU does: ADD_MEM_REG and REM_MEM_REG
/// with the very file that it has sent. So a request may have its buffers there.
package final class PieceAnnouncer {
    private let session: FrontendSession
    /// The first byte of a window as the guest, and as the front-end's process, names it; nil: nowhere at the moment.
    package typealias Place = @Sendable (_ id: UInt8) -> (guest: UInt64, user: UInt64)?
    private let place: Place

    /// A piece by where it begins.
    private struct Piece: Hashable {
        let id: UInt8
        let offset: UInt64
    }
    private struct State {
        /// What has happened since the last `announce`.
        var added: [(piece: Piece, region: RegionDescription, file: SharedDescriptor)] = []
        var removed: [RegionDescription] = []
        /// What the back-end knows.
        var known: [Piece: RegionDescription] = [:]
    }
    private let state = Mutex(State())

    package init(_ session: FrontendSession, place: @escaping Place) {
        self.session = session
        self.place = place
    }

    /// `mapping` has been made from `file`.
    func note(mapped mapping: SharedMemoryMapping, _ file: consuming OwnedDescriptor) {
        guard let place = place(mapping.regionID) else { return }
        let page = UInt64(AddressReservation.pageByteCount)
        // No overflow: it lies in a window.
        let region = RegionDescription(
            guestAddress: place.guest + mapping.regionOffset, size: (mapping.length + page - 1) / page * page,
            userAddress: place.user + mapping.regionOffset, fileOffset: mapping.fileOffset)
        let piece = Piece(id: mapping.regionID, offset: mapping.regionOffset)
        let shared = SharedDescriptor(file)
        state.withLock { $0.added.append((piece, region, shared)) }
    }

    /// The piece that begins at `offset` has been taken away.
    func note(unmappedAt offset: UInt64, of id: UInt8) {
        state.withLock { state in
            guard let region = state.known.removeValue(forKey: Piece(id: id, offset: offset)) else { return }
            state.removed.append(region)
        }
    }

    /// All pieces have been taken away.
    package func noteReset() {
        state.withLock { state in
            state.removed += state.known.values
            state.known = [:]
        }
    }

    /// Tells the back-end of what was noted; after the answer to its request, or both would wait for each other.
    package func announce() throws(VhostUserError) {
        let (removed, added) = state.withLock { state in
            defer {
                state.removed = []
                state.added = []
            }
            for (piece, region, _) in state.added { state.known[piece] = region }
            return (state.removed, state.added)
        }
        for region in removed { try session.removeMemoryRegion(region) }
        for (_, region, file) in added { try session.addMemoryRegion(region, file: file.rawValue) }
    }
}
