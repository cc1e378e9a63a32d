// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseWire
import Glibc
import HostOS
import Synchronization

/// Lets the kernel cache names, attributes and data for as long as nobody changes them: `virtiofs mount --cache coherent`.
///
/// The daemon tells where the version table counts each object (`TableExtension`). Before the kernel is told that it may keep
/// something, the follower's interest is noted in the table; whoever then wants to change it waits until the kernel has given it up.
/// docs/version-table.md has the protocol.
///
/// The kernel is only told what takes no lock there: that attributes are stale, and that all names are. Taking a single name away
/// waits for the directory's lock, whose owner may be waiting for the daemon that waits for us.
final class KernelCache: Sendable {
    let table: VersionTable
    let follower: Follower
    private let state: Mutex<KnownNodes>
    /// Where notifications go; −1 until the mount is there.
    private let device = Atomic<Int32>(-1)
    /// Whether the kernel knows how to forget all names (Linux 6.16).
    private let forgetsNames = Atomic<Bool>(false)
    /// Whether somebody tells what the host's programs change.
    private let isWatched = Atomic<Bool>(false)

    /// As good as for ever.
    private static let long: UInt64 = 86400

    /// nil when 64 follow this table already.
    init?(_ table: VersionTable) {
        guard let follower = Follower(table) else { return nil }
        self.table = table
        self.follower = follower
        state = Mutex(KnownNodes())
    }

    /// The kernel's session has begun; `device` is one of its channels.
    ///
    /// - Parameter root: the attributes of the root directory, with its slot.
    func start(device: Int32, root: AttrOut) {
        self.device.store(device, ordering: .releasing)
        note(node: 1, slot: slot(root.attrValid), root.attributes)
        forgetsNames.store(forgetNames() == nil, ordering: .releasing)
    }

    func stop() { device.store(-1, ordering: .releasing) }

    // MARK: Requests

    /// What the table said when a request was sent.
    struct Question: Sendable {
        enum Answer: Sendable { case nothing, entry, attributes, directory, open }
        var answer = Answer.nothing
        fileprivate var node: UInt64 = 0
        fileprivate var epoch: UInt64 = 0
        /// Of the request's node; `noSlot`: it is not known, or was changing.
        fileprivate var slot = TableLayout.noSlot
        fileprivate var attributes: UInt64 = 0
        fileprivate var content: UInt64 = 0
    }

    func ask(_ opcode: Opcode, _ node: UInt64) -> Question {
        var question = Question()
        switch opcode {
        case .lookup, .mknod, .mkdir, .symlink, .link, .create, .tmpfile: question.answer = .entry
        case .getattr, .setattr, .statx: question.answer = .attributes
        case .readdirplus: question.answer = .directory
        case .open:
            question.answer = .open
            question.node = node
            return question
        default: return question
        }
        question.node = node
        question.epoch = table.epoch
        if let slot = state.withLock({ $0[node]?.slot }), !table.isChanging(slot) {
            question.slot = slot
            question.attributes = table.attributesVersion(slot)
            question.content = table.contentVersion(slot)
        }
        return question
    }

    func forget(_ node: UInt64, count: UInt64) { state.withLock { $0.forget(node, count: count) } }

    // MARK: Answers

    /// Makes an answer say how long it is good for, and sends it by `send`. Nothing is taken back meanwhile.
    ///
    /// - Parameter body: what follows the answer's header: as long as its kind at least.
    func deliver(
        _ question: Question, _ body: UnsafeMutableRawBufferPointer, send: () throws(Errno) -> Void
    ) throws(Errno) {
        // What `giveUp` wants comes before this answer, or after it.
        try state.withLock { (known) throws(Errno) in
            var told: [(UInt64, UInt32, Attributes)] = []
            switch question.answer {
            case .nothing: break
            case .entry where body.count >= MemoryLayout<EntryOut>.size:
                unsafe settleEntry(mayKeepNames(question), body, &told)
            case .attributes where body.count >= MemoryLayout<AttrOut>.size:
                unsafe settleAttributes(question, body)
            case .directory: unsafe settleDirectory(mayKeepNames(question), body, &told)
            case .open where body.count >= MemoryLayout<OpenOut>.size:
                unsafe settleOpen(question, body, &known)
            case .entry, .attributes, .open: break
            }
            try send()
            for (node, slot, attributes) in told {
                known.add(node, slot: slot, isDirectory: Self.isDirectory(attributes))
            }
        }
    }

    /// Its attributes are good for nothing: nothing can be taken back of what the kernel only knows when it has this answer, and nobody
    /// tells when it forgets something that it knew. It will ask for them.
    private func settleEntry(
        _ names: Bool, _ body: UnsafeMutableRawBufferPointer, _ told: inout [(UInt64, UInt32, Attributes)]
    ) {
        var entry = unsafe body.loadUnaligned(as: EntryOut.self)
        let slot = slot(entry.attrValid)
        (entry.entryValid, entry.entryValidNsec) = (names ? Self.long : 0, 0)
        (entry.attrValid, entry.attrValidNsec) = (0, 0)
        unsafe body.storeBytes(of: entry, as: EntryOut.self)
        if entry.nodeID != 0 { told.append((entry.nodeID, slot, entry.attributes)) }
    }

    private func settleAttributes(_ question: Question, _ body: UnsafeMutableRawBufferPointer) {
        // `fuse_attr_out` and `fuse_statx_out` begin alike.
        let seconds = mayKeepAttributes(question) ? Self.long : 0
        unsafe body.storeBytes(of: seconds, as: UInt64.self)
        unsafe body.storeBytes(of: 0, toByteOffset: 8, as: UInt32.self)
    }

    /// By itself the kernel drops pages when it hears of another time of modification. It takes no notice of an answer that something
    /// else about the file has overtaken, and then shows pages that are older than the question.
    private func settleOpen(
        _ question: Question, _ body: UnsafeMutableRawBufferPointer, _ known: inout KnownNodes
    ) {
        if known.mayKeepPages(of: question.node, now: monotonicNanoseconds()) { return }
        var open = unsafe body.loadUnaligned(as: OpenOut.self)
        open.openFlags &= ~OpenOutFlags.keepCache
        unsafe body.storeBytes(of: open, as: OpenOut.self)
    }

    private func settleDirectory(
        _ names: Bool, _ body: UnsafeMutableRawBufferPointer, _ told: inout [(UInt64, UInt32, Attributes)]
    ) {
        let fixed = MemoryLayout<EntryOut>.size + MemoryLayout<Dirent>.size
        var offset = 0
        while offset + fixed <= body.count {
            let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: body[offset...])
            let dirent = unsafe piece.loadUnaligned(
                fromByteOffset: MemoryLayout<EntryOut>.size, as: Dirent.self)
            unsafe settleEntry(names, piece, &told)
            offset += fixed + (Int(dirent.nameLength) + 7) / 8 * 8
        }
    }

    /// Whether the kernel may keep the names in the request's directory.
    private func mayKeepNames(_ question: Question) -> Bool {
        guard forgetsNames.load(ordering: .acquiring), isCurrent(question) else { return false }
        guard question.slot != TableLayout.noSlot else { return false }
        follower.note(question.slot)
        return !table.isChanging(question.slot) && table.contentVersion(question.slot) == question.content
    }

    /// Whether it may keep the attributes of the request's node.
    private func mayKeepAttributes(_ question: Question) -> Bool {
        guard question.slot != TableLayout.noSlot, isCurrent(question) else { return false }
        follower.note(question.slot)
        return !table.isChanging(question.slot)
            && table.attributesVersion(question.slot) == question.attributes
    }

    private func isCurrent(_ question: Question) -> Bool {
        isWatched.load(ordering: .relaxed) && question.epoch == table.epoch && !follower.isExpelled
    }

    private func slot(_ told: UInt64) -> UInt32 {
        told < UInt64(table.slotCount) ? UInt32(told) : TableLayout.noSlot
    }

    private func note(node: UInt64, slot: UInt32, _ attributes: Attributes) {
        state.withLock { $0.add(node, slot: slot, isDirectory: Self.isDirectory(attributes)) }
    }

    private static func isDirectory(_ attributes: Attributes) -> Bool {
        attributes.mode & FileType.mask == FileType.directory
    }

    // MARK: Giving up

    /// Until `stop` is readable: has the kernel give up what others are about to change.
    func follow(until stop: EventFD) {
        var epoch = table.epoch
        var beat = (count: table.heartbeat, seen: Int64.min)
        while waitReadable(stop.descriptor.rawValue, timeoutMilliseconds: 0) == 0 {
            while let order = follower.next() { giveUp(order) }
            follower.acknowledge()
            let now = table.epoch
            if follower.isExpelled || now != epoch {
                if follower.isExpelled {
                    Log.warning(
                        "others have waited for this mount for a second, and went on: what it showed since may have been stale"
                    )
                }
                epoch = now
                giveUp(.everything)
                follower.rejoin()
            }
            watch(&beat)
            follower.wait(atMost: 50)
        }
    }

    /// Without anybody who tells what the host does, nothing is kept.
    private func watch(_ beat: inout (count: UInt64, seen: Int64)) {
        let (count, now) = (table.heartbeat, monotonicNanoseconds())
        if count != beat.count {
            beat = (count, now)
            isWatched.store(true, ordering: .relaxed)
        } else if isWatched.load(ordering: .relaxed), now - beat.seen > Self.patience {
            isWatched.store(false, ordering: .relaxed)
            giveUp(.everything)
            Log.warning(
                "nobody tells of changes by this host's programs any more: nothing is cached until a daemon does"
            )
        }
    }

    private static let patience: Int64 = 1_000_000_000

    private func giveUp(_ order: Follower.Order) {
        state.withLock { known in
            var names = false
            let now = monotonicNanoseconds()
            func giveUp(_ node: UInt64) {
                var body = InvalidateInodeOut()
                body.nodeID = node
                body.offset = -1
                // ENOENT: the kernel has forgotten it, or is about to hear of it, with attributes that it may not keep.
                _ = unsafe withUnsafeBytes(of: body) { unsafe tell(NotificationCode.invalidateInode, $0) }
                names = names || known[node]?.isDirectory ?? true
                known.noteChange(of: node, now: now)
            }
            switch order {
            case .slot(let slot): for node in known.inSlot(slot) { giveUp(node) }
            case .everything: for node in known.all { giveUp(node) }
            }
            if names { _ = forgetNames() }
        }
    }

    private func forgetNames() -> Errno? {
        unsafe tell(NotificationCode.nextEpoch, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Tells the kernel something. nil, or why it did not take it.
    private func tell(_ code: Int32, _ body: UnsafeRawBufferPointer) -> Errno? {
        let device = device.load(ordering: .acquiring)
        guard device >= 0 else { return .ENODEV }
        var header = OutHeader()
        header.length = UInt32(MemoryLayout<OutHeader>.size + body.count)
        header.error = code
        do throws(Errno) {
            _ = try systemCall {
                unsafe withUnsafeMutableBytes(of: &header) { header in
                    var vectors = unsafe (
                        iovec(iov_base: header.baseAddress, iov_len: header.count),
                        iovec(
                            iov_base: UnsafeMutableRawPointer(mutating: body.baseAddress), iov_len: body.count
                        )
                    )
                    return unsafe withUnsafeMutablePointer(to: &vectors) {
                        unsafe $0.withMemoryRebound(to: iovec.self, capacity: 2) {
                            unsafe writev(device, $0, body.isEmpty ? 1 : 2)
                        }
                    }
                }
            }
            return nil
        } catch { return error }
    }
}
