// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Synchronization

/// Which files the chunks of the DAX window show: SETUPMAPPING and REMOVEMAPPING, and what happens to mapped files on the host.
///
/// A guest touches no page behind the size that it believes a file to have, so a chunk is mapped whole, also at the end of a file,
/// unless the guest may believe in more than there is. When somebody else makes the file shorter, the pages that go are replaced by
/// zeros first: a page behind the end of its file ends a virtual machine (SIGBUS, or KVM's EFAULT).
package final class DAXWindow: Sendable {
    /// What Linux maps at a time (FUSE_DAX_SHIFT 21), and log2 of it. Each of offset and length in a request is a multiple.
    package static let chunkByteCount: UInt64 = 1 << 21
    static let alignment: UInt16 = 21

    let window: any FileWindow
    private let source: (any MappableSource)?
    /// Where there is nothing of a file.
    let zeros: OwnedDescriptor
    let grants: DAXGrants
    let told = ToldSizes()

    struct Chunk {
        let file: MappedFile
        let fileOffset: UInt64
        /// How much of it is the file's; the rest shows `zeros`.
        var byteCount: UInt64
        var pieceCount: Int { 1..<DAXWindow.chunkByteCount ~= byteCount ? 2 : 1 }
    }
    struct State {
        var chunks: [Chunk?]
        var files: [FileKey: MappedFile] = [:]
        /// What may still happen to files of which nothing is mapped any more, or not yet.
        var cuts: [FileKey: Cut] = [:]
        /// Pieces that no chunk has, and the VMM may have: those of an earlier guest, which it may have kept across a reset, and what it
        /// would not take away. None overlaps another piece.
        var stale: [WindowPiece] = []
    }
    let state: Mutex<State>
    /// How many files have a `cut`.
    let limited = Atomic<Int>(0)
    let lost = RecurringEvent()
    private let quota: DescriptorQuota
    /// Is told of files that the guest may write; nil: nobody wants to know.
    private let changes: WriterPool?
    let settlingTime: Int64
    /// Signalled when a file gets a `cut`.
    let news: EventFD
    /// QEMU 11.1 aborts beyond 512 regions of memory, and each piece is one; some are for the guest's RAM.
    static let maximumPieceCount = 480

    /// - Parameters:
    ///   - source: nil: files are mapped themselves.
    ///   - settlingTime: how long after its announcement a file may still become shorter, in nanoseconds.
    ///   - readOnly: by a VMM that maps what is only open for reading. QEMU does not, and only QEMU cares where a file ends.
    init(
        _ window: any FileWindow, source: (any MappableSource)?, _ options: DAXOptions,
        _ quota: DescriptorQuota,
        readOnly: Bool, changes: WriterPool? = nil, settlingTime: Int64 = DAXWindow.settlingTime
    ) throws(Errno) {
        self.changes = changes
        self.quota = quota
        self.settlingTime = settlingTime
        self.window = window
        self.source = source
        let count = window.byteCount / Int(Self.chunkByteCount)
        news = try EventFD()
        zeros = try makeSealedMemoryFile(name: "virtiofs-zeros", byteCount: Int(Self.chunkByteCount))
        mapsAnySize = source != nil || readOnly
        grants = DAXGrants(chunks: count, options, anySize: mapsAnySize)
        state = Mutex(State(chunks: Array(repeating: nil, count: count)))
    }

    /// Whether files of any size can be mapped.
    let mapsAnySize: Bool
    /// Whether `tell` has to hear of sizes.
    var hasLimits: Bool { limited.load(ordering: .acquiring) > 0 }
    /// Chunks that show something.
    package var usedChunkCount: Int { state.withLock { $0.chunks.count { $0 != nil } } }

    // MARK: Requests

    /// SETUPMAPPING of `status`, which is a regular file.
    ///
    /// Linux asks again for what is there when it is to be written: everything is writable at once where it can be.
    ///
    /// - Parameter open: opens the file, O_RDWR or, with `writable` false, O_RDONLY.
    /// - Throws: EINVAL for offsets that are no multiples of a chunk, or a place outside; EOPNOTSUPP for a chunk that reaches beyond
    ///   the end of a file that only reaches so far; ENOSPC for more pieces than the VMM survives; EIO when it refuses.
    func setUp(
        _ status: FileStatus, _ arguments: SetupMappingIn, writable: Bool,
        open: () throws(Errno) -> OwnedDescriptor
    ) throws(Errno) {
        let index = try index(ofChunkAt: arguments.windowOffset, arguments.length)
        guard arguments.fileOffset % Self.chunkByteCount == 0,
            arguments.fileOffset <= UInt64(Int64.max) - Self.chunkByteCount
        else { throw .EINVAL }
        let key = FileKey(status)
        try state.withLock { (state) throws(Errno) in
            if let chunk = state.chunks[index] {
                if chunk.file.key == key, chunk.fileOffset == arguments.fileOffset {
                    return try announce(chunk.file, arguments)
                }
                remove(index, &state)
            }
            let file = try file(key, &state, open)
            raise(file, &state)
            if !mapsAnySize {
                let size = try FileStatus(of: file.real.rawValue).raw.stx_size
                guard arguments.fileOffset + Self.chunkByteCount <= size else {
                    drop(file, &state)
                    throw .EOPNOTSUPP
                }
            }
            let end = arguments.fileOffset + Self.chunkByteCount
            let believed = told.willMap(key)
            limit(file, believed, until: end, &state)
            let chunk = Chunk(
                file: file, fileOffset: arguments.fileOffset,
                byteCount: file.byteCount(ofChunkAt: arguments.fileOffset))
            do throws(Errno) {
                try announce(file, arguments)
                guard pieceCount(state) + chunk.pieceCount <= Self.maximumPieceCount else { throw .ENOSPC }
                try map(chunk, at: index, writable: writable, &state)
            } catch {
                drop(file, &state)
                throw error
            }
            file.chunkCount += 1
            state.chunks[index] = chunk
            // Who was about to make it shorter when the file was not watched yet may have done so by now.
            limit(file, believed, until: end, &state)
            guard state.chunks[index] != nil else {
                drop(file, &state)
                throw .EIO
            }
            if follows(chunk, state) {
                readAhead(
                    file.real.rawValue, from: Int(chunk.fileOffset + Self.chunkByteCount), Self.chunkByteCount
                )
            }
        }
    }

    /// One entry of REMOVEMAPPING.
    ///
    /// - Throws: EINVAL for a place outside, or where nothing is.
    func remove(_ entry: RemoveMappingOne) throws(Errno) {
        guard entry.length > 0, entry.length % Self.chunkByteCount == 0,
            entry.length <= UInt64(window.byteCount)
        else { throw .EINVAL }
        let first = try index(ofChunkAt: entry.windowOffset, Self.chunkByteCount)
        let end = first + Int(entry.length / Self.chunkByteCount)
        try state.withLock { (state) throws(Errno) in
            guard end <= state.chunks.count else { throw .EINVAL }
            var wasThere = true
            for index in first..<end {
                if state.chunks[index] != nil {
                    remove(index, &state)
                } else if !takeLeftovers(at: index, &state) {
                    wasThere = false
                }
            }
            if !wasThere { throw .EINVAL }
        }
    }

    private func index(ofChunkAt offset: UInt64, _ length: UInt64) throws(Errno) -> Int {
        guard offset % Self.chunkByteCount == 0, length == Self.chunkByteCount,
            offset < UInt64(window.byteCount)
        else { throw .EINVAL }
        return Int(offset / Self.chunkByteCount)
    }

    /// INIT or DESTROY: takes everything away while the VMM can be asked.
    func removeAll() {
        state.withLock { state in
            // A VMM that dropped them says no.
            for piece in state.stale { try? window.unmap(piece) }
            state.stale.removeAll()
            for index in state.chunks.indices where state.chunks[index] != nil { remove(index, &state) }
        }
        forgetFiles()
    }

    /// The guest is gone, and the VMM cannot be asked.
    func forgetAll() {
        state.withLock { state in
            for index in state.chunks.indices {
                guard let chunk = state.chunks[index] else { continue }
                state.stale += pieces(of: chunk, at: index).map(\.piece)
                state.chunks[index] = nil
                chunk.file.chunkCount -= 1
                drop(chunk.file, &state)
            }
        }
        forgetFiles()
    }

    private func forgetFiles() {
        grants.removeAll()
        told.removeAll()
    }

    /// The guest has forgotten a file.
    func forget(_ identity: Identity) {
        grants.remove(identity)
        told.remove(FileKey(identity))
    }

    // MARK: Chunks

    /// Whether the guest goes through the file in order: the chunk before is there too.
    private func follows(_ chunk: Chunk, _ state: State) -> Bool {
        guard chunk.fileOffset > 0 else { return false }
        return state.chunks.contains {
            guard let other = $0 else { return false }
            return other.file === chunk.file && other.fileOffset + Self.chunkByteCount == chunk.fileOffset
        }
    }

    /// Before the guest can write it.
    private func announce(_ file: MappedFile, _ arguments: SetupMappingIn) throws(Errno) {
        guard let changes, !file.isAnnounced, arguments.flags & SetupMappingIn.write != 0 else { return }
        try changes.map(file.key)
        file.isAnnounced = true
    }

    private func remove(_ index: Int, _ state: inout State) {
        guard let chunk = state.chunks[index] else { return }
        for part in pieces(of: chunk, at: index) { takeAway(part.piece, &state) }
        state.chunks[index] = nil
        chunk.file.chunkCount -= 1
        drop(chunk.file, &state)
    }

    private func file(
        _ key: FileKey, _ state: inout State, _ open: () throws(Errno) -> OwnedDescriptor
    ) throws(Errno) -> MappedFile {
        if let file = state.files[key] { return file }
        try takeQuota()
        do throws(Errno) {
            let real = try open()
            let endless: EndlessFile? =
                if let source { EndlessFile(try source.open(real.rawValue)) } else { nil }
            // After the file has been opened for the VMM: what is opened later is watched at each access.
            source?.protect(real.rawValue)
            let file = MappedFile(key, real, endless: endless)
            state.files[key] = file
            resume(file, &state)
            return file
        } catch {
            giveBackQuota()
            throw error
        }
    }

    /// Closes a file if nothing of it is mapped any more.
    func drop(_ file: MappedFile, _ state: inout State) {
        guard file.chunkCount == 0, state.files.removeValue(forKey: file.key) != nil else { return }
        if let cut = file.cut {
            limited.subtract(1, ordering: .releasing)
            keep(cut, of: file.key, &state)
        }
        source?.unprotect(file.real.rawValue)
        if file.isAnnounced { changes?.unmap(file.key) }
        giveBackQuota()
    }

    /// A file takes a descriptor, and one more if it is made endless.
    private func takeQuota() throws(Errno) {
        try quota.take()
        if source == nil { return }
        do throws(Errno) { try quota.take() } catch {
            quota.giveBack()
            throw error
        }
    }

    private func giveBackQuota() {
        quota.giveBack()
        if source != nil { quota.giveBack() }
    }
}
