// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import HostOS
import Synchronization

// Files in the window whose sizes change behind the guest's back.
extension DAXWindow {
    /// Somebody else is about to make a file `size` bytes long. When this returns no guest sees what goes.
    package func cut(_ key: FileKey, to size: UInt64) {
        let hasChanged = state.withLock { state in
            let file = state.files[key]
            let status = file.flatMap { try? FileStatus(of: $0.real.rawValue) }
            let earlier = file?.cut ?? state.cuts[key]
            let cut = Cut(
                limit: min(size, earlier?.limit ?? .max), size: status?.raw.stx_size,
                changeTime: status?.changeTime,
                settled: monotonicNanoseconds() + settlingTime)
            guard let file else {
                // Its last chunk went while this was on its way, and may be back before the file is shorter.
                keep(cut, of: key, &state)
                return false
            }
            limit(file, by: cut)
            defer { drop(file, &state) }
            return adapt(to: file, &state)
        }
        // Under TCG a processor may use what QEMU has just taken away until the end of its current step.
        if hasChanged { _ = waitReadable(-1, timeoutMilliseconds: Self.stepMilliseconds) }
    }

    private static let stepMilliseconds: Int32 = 30
    /// In nanoseconds.
    static let settlingTime: Int64 = 500_000_000
    private static let firstLook: Int64 = 50_000_000
    private static let mostLooks = 4

    private func limit(_ file: MappedFile, by cut: Cut) {
        if file.cut == nil { limited.add(1, ordering: .releasing) }
        file.cut = cut
        (file.nextLook, file.lookCount) = (monotonicNanoseconds() + Self.firstLook, 0)
        news.signal()
    }

    /// Remembers what may still happen to a file of which nothing is mapped.
    func keep(_ cut: Cut, of key: FileKey, _ state: inout State) {
        let now = monotonicNanoseconds()
        state.cuts = state.cuts.filter { $0.value.settled > now }
        if cut.settled > now { state.cuts[key] = cut }
    }

    /// Takes up what was remembered of a file that is about to be mapped.
    func resume(_ file: MappedFile, _ state: inout State) {
        guard let cut = state.cuts.removeValue(forKey: file.key), cut.settled > monotonicNanoseconds() else {
            return
        }
        limit(file, by: cut)
    }

    /// The body of a thread: looks whether files have really become shorter, which their owners may not have been allowed to, or
    /// have grown again. What is there must not stay hidden from a guest that was told of it long ago.
    ///
    /// Four looks, from a twentieth of a second to a minute after the announcement.
    package func lookAtSizes(until stop: EventFD) {
        while true {
            let next = state.withLock { $0.files.values.compactMap(\.nextLook).min() }
            let wait = next.map { Int32(clamping: max(0, $0 - monotonicNanoseconds()) / 1_000_000 + 1) } ?? -1
            let ready = waitReadable(
                stop.descriptor.rawValue, news.descriptor.rawValue, timeoutMilliseconds: wait)
            if ready & 0b01 != 0 { return }
            news.clear()
            let now = monotonicNanoseconds()
            state.withLock { state in
                for file in state.files.values where file.nextLook ?? .max <= now {
                    look(at: file, now, &state)
                }
            }
        }
    }

    private func look(at file: MappedFile, _ now: Int64, _ state: inout State) {
        file.lookCount += 1
        var delay = Self.firstLook
        for _ in 0..<file.lookCount { delay *= 10 }
        file.nextLook = file.lookCount < Self.mostLooks ? now + delay : nil
        raise(file, &state)
        drop(file, &state)
    }

    /// Gives a file a limit if a guest that believes in `size` would touch what is behind the end, before `end`.
    func limit(_ file: MappedFile, _ size: UInt64, until end: UInt64, _ state: inout State) {
        guard file.cut == nil, let status = try? FileStatus(of: file.real.rawValue) else { return }
        guard min(size, end) > status.endOfPages else { return }
        limit(file, by: .done(status.raw.stx_size))
        adapt(to: file, &state)
    }

    // MARK: What the guest hears

    /// The guest is about to be told of the size of a file, which it may map.
    func note(_ status: FileStatus) {
        let news = told.note(FileKey(status), status.raw.stx_size)
        if news == .moreOfMapped || hasLimits { tell(FileKey(status)) }
    }

    /// The guest has made a file reach to `end` at least, and will know without being told.
    ///
    /// - Parameter isEnd: it believed in no more before.
    func noteGrowth(_ key: FileKey, _ file: Int32, to end: UInt64, isEnd: Bool) {
        let news = told.grow(key, end)
        let size: UInt64? =
            news == .none ? nil : (try? FileStatus(of: file)).map { $0.raw.stx_size } ?? 0
        if news == .less, isEnd, size == end { told.settle(key, end) }
        // Without a limit, and of a file that is as long, nothing has to be taken away: nobody waits for the window.
        if hasLimits || news == .moreOfMapped && size ?? 0 < end { tell(key, after: .growth) }
    }

    /// The guest has set a file's size, or other attributes of it only (nil).
    func noteSetting(_ key: FileKey, size: UInt64?) {
        if let size { told.settle(key, size) }
        if hasLimits { tell(key, after: .setting) }
    }

    /// Sees to it that what the guest may believe in is mapped as far as there is anything.
    func tell(_ key: FileKey, after change: GuestChange = .none) {
        state.withLock { state in
            guard let file = state.files[key] else { return }
            raise(file, after: change, &state)
            limit(file, told.size(of: key) ?? 0, until: .max, &state)
            drop(file, &state)
        }
    }

    /// Maps what a file has become longer by, and all of its chunks once the guest believes in no more than there is. It may have no
    /// chunk afterwards.
    func raise(_ file: MappedFile, after change: GuestChange = .none, _ state: inout State) {
        // Before the size: who tells the guest of more from now on looks himself.
        let believed = told.size(of: file.key) ?? .max
        // Looked at now: what the caller knows may be older than the cut.
        guard var cut = file.cut, let status = try? FileStatus(of: file.real.rawValue) else { return }
        let (size, now) = (status.raw.stx_size, monotonicNanoseconds())
        guard cut.isSettled(status, now: now, after: change) else {
            if change != .none { (cut.size, cut.changeTime) = (size, status.changeTime) }
            file.cut = cut
            return
        }
        let isLonger = size > cut.limit
        cut.settled = min(cut.settled, now)
        cut.limit = max(cut.limit, size)
        file.cut = cut
        if believed <= status.endOfPages {
            (file.cut, file.nextLook) = (nil, nil)
            limited.subtract(1, ordering: .releasing)
        } else if !isLonger {
            return
        }
        adapt(to: file, &state)
    }

    /// Maps anew what shows too much or too little of a file, which may have no chunk afterwards. Whether there was any.
    @discardableResult
    private func adapt(to file: MappedFile, _ state: inout State) -> Bool {
        var hasChanged = false
        for index in state.chunks.indices {
            guard var chunk = state.chunks[index], chunk.file === file else { continue }
            let before = chunk
            chunk.byteCount = file.byteCount(ofChunkAt: chunk.fileOffset)
            // Where the VMM can take no more, one that is two from now on shows nothing of the file.
            if pieceCount(state) - before.pieceCount + chunk.pieceCount > Self.maximumPieceCount {
                chunk.byteCount = 0
            }
            if chunk.byteCount == before.byteCount { continue }
            hasChanged = true
            for part in pieces(of: before, at: index) { takeAway(part.piece, &state) }
            state.chunks[index] = nil
            do throws(Errno) {
                try map(chunk, at: index, writable: true, &state)
                state.chunks[index] = chunk
            } catch {
                Log.once(
                    lost, .error,
                    "the VMM cannot replace a mapping of a file that the host makes shorter: \(describe(error))"
                )
                file.chunkCount -= 1
            }
        }
        return hasChanged
    }
}
