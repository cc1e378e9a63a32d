// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import HostOS
import Synchronization

/// `--cache shared`: whether what the guest caches can be trusted now, because its agent makes it look again at what others
/// change (docs/agent.md) and somebody tells what the host does. For any thread.
final class SharedCaches: Sendable {
    private let table: VersionTable
    /// The shared directory.
    private let root: FileKey
    /// On the monotonic clock; 0: there is no agent, or nobody watches the host.
    private let trustedUntil = Atomic<Int64>(0)
    /// When the heartbeat was last seen to have grown, and to what.
    private let heartbeat: Mutex<(value: UInt64, at: Int64)>
    private let isRead = Atomic<Bool>(false)
    /// Where an answer is built, for the kernel to put into the guest's pages.
    let memory: OwnedDescriptor

    /// How long the agent, and whoever watches the host, may be silent.
    private static let patience: Int64 = 1_000_000_000
    static let answerByteCount = 64 * 1024

    init(_ table: VersionTable, of root: FileKey) throws(Errno) {
        self.table = table
        self.root = root
        heartbeat = Mutex((table.heartbeat, .min / 2))
        memory = try makeSealedMemoryFile(name: "changes", byteCount: Self.answerByteCount)
    }

    var areTrustworthy: Bool {
        let until = trustedUntil.load(ordering: .relaxed)
        if until == 0 { return false }
        if monotonicNanoseconds() < until { return true }
        stop("its agent has not asked for a second", since: until)
        return false
    }

    /// The agent has given a sign of life. Returns whether the host is watched, so that it hears of what is done there.
    func agentAsks() -> Bool {
        let now = monotonicNanoseconds()
        let until = trustedUntil.load(ordering: .relaxed)
        guard isWatched(now) else {
            stop("nobody watches the host", since: until)
            return false
        }
        if trustedUntil.exchange(now + Self.patience, ordering: .relaxed) == 0 {
            Log.info("the guest caches long: its agent follows what others change")
        }
        return true
    }

    func agentHasGone() { stop("its agent has ended", since: trustedUntil.load(ordering: .relaxed)) }

    private func stop(_ reason: String, since until: Int64) {
        guard until != 0,
            trustedUntil.compareExchange(expected: until, desired: 0, ordering: .relaxed).exchanged
        else { return }
        Log.warning("the guest caches as with --cache auto: \(reason)")
    }

    /// Somebody is at it, and gets on.
    private func isWatched(_ now: Int64) -> Bool {
        let value = table.heartbeat
        let grewAt = heartbeat.withLock { heartbeat in
            if heartbeat.value != value { heartbeat = (value, now) }
            return heartbeat.at
        }
        return now - grewAt < Self.patience && table.isWatched(root)
    }

    /// Carries out the answer to one READ at a time; EBUSY to another.
    func reading<Result>(_ read: () throws(Errno) -> Result) throws(Errno) -> Result {
        guard !isRead.exchange(true, ordering: .acquiring) else { throw .EBUSY }
        defer { isRead.store(false, ordering: .releasing) }
        return try read()
    }
}
