// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// The work: reads what the daemon tells, and has the kernel see it, until it is told to end.
final class ChangeFollower {
    /// A READ is the agent's sign of life, so there is never much to do between two: 55 changes.
    private static let answerByteCount = 16 * 1024
    /// How often "everything" says that we are alive. The daemon waits for a second.
    private static let aliveNanoseconds: Int64 = 200_000_000

    /// Half of what a process may have open as a rule.
    private static let mostHeld = 512
    private static let patienceNanoseconds: Int64 = 1_000_000_000

    private let mount: AgentMount
    private let runner: StepRunner
    private let say: (String) -> Void
    private var list: OwnedDescriptor
    private var buffer = [UInt8](repeating: 0, count: answerByteCount)
    private var planner = StepPlanner()
    private var isUnwatched = false
    private var saidFailures: Set<String> = []
    private var lastRead: Int64 = 0
    /// Since when answers are full, or since when everything has been looked at meanwhile; 0: we are not behind.
    private var behindSince: Int64 = 0

    /// - Throws: EBUSY where another agent reads the list.
    init(_ mount: AgentMount, say: @escaping (String) -> Void) throws(Errno) {
        self.mount = mount
        self.say = { text in
            say(text)
            mount.forgetGroup()
        }
        runner = StepRunner(mount: mount)
        list = try mount.openChangeList()
    }

    /// Follows until `shallEnd` says so, then gives the list up, so that the kernel caches for a moment only, and has it look at
    /// everything again.
    func follow(until shallEnd: () -> Bool) throws(Errno) {
        let first = try read(at: ChangeList.beginning)
        isUnwatched = first.state.contains(.unwatched)
        say("follows what others change" + (isUnwatched ? ", but nobody watches the host yet" : ""))
        if mount.isReadOnly {
            say("is read-only here, so the guest sees changes, and its watchers hear of none")
        }
        refreshEverything()
        var next = first.next
        while !shallEnd() {
            let answer = try read(at: next)
            next = answer.next
            for step in planner.steps(for: answer) { carryOut(step) }
            heed(answer.state)
            catchUp(isBehind: answer.changes.count == ChangeList.capacity(byteCount: buffer.count))
        }
        try giveUp()
        refreshEverything()
    }

    private func heed(_ state: ChangeList.State) {
        let wasUnwatched = isUnwatched
        isUnwatched = state.contains(.unwatched)
        if isUnwatched != wasUnwatched {
            say(
                isUnwatched
                    ? "nobody watches the host any more: what it changes shows a second late, and nobody is told"
                    : "the host is watched again")
        } else if state.contains(.missed) {
            say(
                "changes were missed: the guest looks at everything again, and its watchers may have missed them"
            )
        }
        if isUnwatched != wasUnwatched || state.contains(.missed) { refreshEverything() }
    }

    /// More is done on the host than can be told one by one. Watchers hear of it as fast as we can; but nobody is to see for
    /// longer than a second what is not so any more.
    private func catchUp(isBehind: Bool) {
        let now = monotonicNanoseconds()
        if !isBehind {
            behindSince = 0
        } else if behindSince == 0 {
            behindSince = now
        } else if now - behindSince > Self.patienceNanoseconds {
            refreshEverything()
            behindSince = monotonicNanoseconds()
        }
    }

    private func read(at offset: UInt64) throws(Errno) -> ChangeList {
        try mount.become(.look)
        let number = list.rawValue
        guard let position = off_t(exactly: offset) else { throw .EPROTO }
        let count = try systemCall { unsafe pread(number, &buffer, buffer.count, position) }
        lastRead = monotonicNanoseconds()
        guard let answer = ChangeList(buffer[..<count]) else { throw .EPROTO }
        return answer
    }

    private func giveUp() throws(Errno) {
        let null = OwnedDescriptor(
            adopting: try systemCall { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) })
        list = try null.duplicate()
    }

    /// What can go wrong because the host has gone on meanwhile does not matter: another change tells of it.
    private static let expected: Set<Errno> = [
        .ENOENT, .ESTALE, .EEXIST, .EBUSY, .ENOTDIR, .EISDIR, .ELOOP, .ENOTEMPTY, .ENXIO,
    ]

    private func carryOut(_ step: Step) {
        do throws(Errno) { try runner.run(step) } catch {
            if Self.expected.contains(error) || error == .EROFS && mount.isReadOnly { return }
            let kind = "\(step)".prefix { $0 != "(" }
            if saidFailures.insert("\(kind) \(error.rawValue)").inserted {
                say("a change (\(kind)) could not be shown here: \(describe(error)); this is said once")
            }
        }
    }

    /// Whatever the kernel has cached it asks for again before it uses it.
    func refreshEverything() {
        var used = UsedObjects(of: mount)
        used.collect()
        // A watched directory has no name that is in use. To find it again without takes the kernel long, and can fail.
        let held = used.nodes.prefix(Self.mostHeld).compactMap { hold($0) }
        defer { for number in held { close(number) } }
        mount.closeDirectories()
        do throws(Errno) { try mount.dropUnusedNames() } catch {
            say("cannot drop the names that nobody uses: \(describe(error))")
        }
        for node in used.nodes {
            if monotonicNanoseconds() - lastRead > Self.aliveNanoseconds {
                _ = try? read(at: ChangeList.beginning)
            }
            refresh(node)
        }
    }

    private func hold(_ node: UInt64) -> Int32? {
        do throws(Errno) { return try mount.open(node, O_PATH).release() } catch { return nil }
    }

    /// To find an object by its handle makes the kernel ask for its name again, too.
    private func refresh(_ node: UInt64) {
        do throws(Errno) {
            let object = try mount.open(node, O_PATH)
            let status = try FileStatus(of: object.rawValue, flags: AT_STATX_FORCE_SYNC)
            guard status.type == FileType.regular else { return }
            let file = try mount.open(node, O_RDONLY)
            _ = posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
        } catch {}  // it is gone, and the kernel knows that now
    }
}
