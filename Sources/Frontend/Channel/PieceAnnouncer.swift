// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization
import VhostUser

/// Tells the back-end that what it has mapped into a window is guest memory now, as QEMU does: ADD_MEM_REG and REM_MEM_REG
/// with the very file that it has sent. So a request may have its buffers there.
final class PieceAnnouncer {
    private let session: FrontendSession
    /// By region id: the window's first byte as the guest, and as our process, would name it.
    private let places: [UInt8: (guest: UInt64, user: UInt64)]

    private final class File: Sendable {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }
    private struct State {
        /// What has happened since the last `announce`.
        var added: [(region: RegionDescription, file: File)] = []
        var removed: [RegionDescription] = []
        /// What the back-end knows.
        var known: [UInt64: RegionDescription] = [:]
    }
    private let state = Mutex(State())

    init(_ session: FrontendSession, places: [UInt8: (guest: UInt64, user: UInt64)]) {
        self.session = session
        self.places = places
    }

    /// `piece` has been mapped from `file`.
    func note(mapped piece: SharedMemoryMapping, _ file: consuming OwnedDescriptor) {
        guard let place = places[piece.regionID] else { return }
        let page = UInt64(AddressReservation.pageByteCount)
        // No overflow: it lies in a window.
        let region = RegionDescription(
            guestAddress: place.guest + piece.regionOffset, size: (piece.length + page - 1) / page * page,
            userAddress: place.user + piece.regionOffset, fileOffset: piece.fileOffset)
        let owned = File(file)
        state.withLock { $0.added.append((region, owned)) }
    }

    /// The piece that begins at `offset` has been taken away.
    func note(unmappedAt offset: UInt64, of id: UInt8) {
        guard let place = places[id] else { return }
        state.withLock { state in
            guard let region = state.known.removeValue(forKey: place.guest + offset) else { return }
            state.removed.append(region)
        }
    }

    /// All pieces have been taken away.
    func noteReset() {
        state.withLock { state in
            state.removed += state.known.values
            state.known = [:]
        }
    }

    /// Tells the back-end of what was noted; after the answer to its request, or both would wait for each other.
    func announce() throws(VhostUserError) {
        let (removed, added) = state.withLock { state in
            defer {
                state.removed = []
                state.added = []
            }
            for (region, _) in state.added { state.known[region.guestAddress] = region }
            return (state.removed, state.added)
        }
        for region in removed { try session.removeMemoryRegion(region) }
        for (region, file) in added {
            try session.addMemoryRegion(region, file: file.descriptor.rawValue)
        }
    }
}
