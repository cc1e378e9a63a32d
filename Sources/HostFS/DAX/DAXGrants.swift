// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseWire
import HostOS
import StateArena
import Synchronization

/// `--dax-window` and what goes with it.
package struct DAXOptions: Sendable, Equatable {
    /// A smaller file is read by requests: a mapping costs as much as several of them. docs/dax.md has the measurement.
    package var minimumByteCount: UInt64 = 1 << 20
    /// `--dax-read-only`: the VMM maps descriptors that are only open for reading.
    package var mapsReadOnly = false

    package init() {}
}

/// Which files the guest is told to access through the window (FUSE_ATTR_DAX): as many as fit it together, and first come, first
/// served. With more, each access would push another file's chunk out, which is several times slower than no window.
///
/// A file keeps what it was told until the guest forgets it.
final class DAXGrants: Sendable {
    private let capacity: Int
    private let options: DAXOptions
    private let anySize: Bool

    private struct State {
        /// Chunks of each.
        var granted: [Identity: Int] = [:]
        var chunkCount = 0
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - chunks: how many the window has.
    ///   - anySize: files that end inside a chunk can be mapped.
    init(chunks: Int, _ options: DAXOptions, anySize: Bool) {
        capacity = chunks
        self.options = options
        self.anySize = anySize
    }

    /// Whether the guest is to access the file through the window; if so it counts until `remove`.
    func takes(_ status: FileStatus, readOnly: Bool) -> Bool {
        guard status.type == FileType.regular else { return false }
        let identity = Identity(status)
        let isSuitable = isSuitable(status, readOnly: readOnly)
        return state.withLock { state in
            if state.granted[identity] != nil { return true }
            guard isSuitable else { return false }
            let count = Int(clamping: (status.raw.stx_size - 1) / DAXWindow.chunkByteCount) + 1
            guard count <= capacity - state.chunkCount else { return false }
            state.granted[identity] = count
            state.chunkCount += count
            return true
        }
    }

    /// Not what is a program: the descriptor that a VMM wants is open for writing, and keeps the host from running it (ETXTBSY).
    private func isSuitable(_ status: FileStatus, readOnly: Bool) -> Bool {
        let raw = status.raw
        let fixed = UInt64(STATX_ATTR_IMMUTABLE) | UInt64(STATX_ATTR_APPEND)
        return raw.stx_size >= max(1, options.minimumByteCount) && raw.stx_mode & 0o111 == 0
            && raw.stx_attributes & fixed == 0 && (!readOnly || options.mapsReadOnly)
            && (anySize || raw.stx_size % DAXWindow.chunkByteCount == 0)
    }

    func has(_ identity: Identity) -> Bool { state.withLock { $0.granted[identity] != nil } }

    /// The guest has forgotten the file.
    func remove(_ identity: Identity) {
        state.withLock { state in
            if let count = state.granted.removeValue(forKey: identity) { state.chunkCount -= count }
        }
    }

    func removeAll() { state.withLock { $0 = State() } }
}
