// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS
import Sandbox

/// The process that watches, from its first instruction to its end.
final class WatchProcess {
    /// What it says first, when it can watch; anything else is why it cannot.
    static let isReady = "ready"

    private let socket: Int32
    private let root: Int32
    private let table: VersionTable
    private let filters: HelperFilters
    /// By inotify, because this host or user lets it mark no file systems.
    private var byDirectories = false
    /// Its own, and that of every daemon whose changes it can tell from others'.
    private let namespace: UInt32

    /// Becomes that process, with everything that this one has, and never comes back. It ends when the last descriptor of the other end of
    /// `socket` does.
    static func become(
        socket: Int32, root: Int32, _ filter: FilterAction,
        _ openTable: () throws(StartupError) -> VersionTable
    ) -> Never {
        do {
            let process = try WatchProcess(socket: socket, root: root, openTable(), filter)
            say(isReady, to: socket)
            process.waitForTurn()
        } catch let refusal as Refusal {
            say("\(refusal.subject): \(refusal.reason)", to: socket)
        } catch let error as Errno {
            say(describe(error), to: socket)
        } catch {
            say("\(error)", to: socket)
        }
        _exit(0)
    }

    private static func say(_ text: String, to socket: Int32) {
        try? Files.writeAll(socket, Array(text.utf8.prefix(4000)))
    }

    private init(socket: Int32, root: Int32, _ table: VersionTable, _ filter: FilterAction) throws {
        self.socket = socket
        self.root = root
        self.table = table
        ignoreEndSignals()
        try closeDescriptors(but: [STDERR_FILENO, socket, root, table.descriptorNumber])
        // The connection to syslog is closed, and the filter would end a process that makes another.
        Log.redirect { _, message in
            try? Files.writeAll(STDERR_FILENO, Array("virtiofsd-watch: \(message)\n".utf8))
        }
        namespace = ProcessIdentity.current().namespace
        _ = unsafe pthread_setname_np(pthread_self(), "virtiofsd-watch")
        try forbidCoreDumps()
        try forbidInspection()
        try forbidNewPrivileges()
        // What cannot be is said now, when somebody listens. The marks go again, until it is this process's turn.
        var needed = CapabilitySet.ofWaitingWatch
        do throws(Refusal) { _ = try WatchedTree(root) } catch {
            try Self.checkDirectory(root, error)
            (byDirectories, needed) = (true, .fileHandles)
            Log.info(
                "what the host's programs change is told by inotify, directory by directory "
                    + "(\(error.subject): \(error.reason))")
        }
        _ = try cutCapabilities(to: needed, CapabilityChanges())
        filters = try HelperFilters(filter, byDirectories ? [.treeWatch] : [.waitingWatch, .watch])
        try filters.load(byDirectories ? .treeWatch : .waitingWatch)
    }

    /// A file's directory is not shared.
    private static func checkDirectory(_ root: Int32, _ refusal: Refusal) throws {
        guard try FileStatus(of: root).type == FileType.directory else { throw refusal }
    }

    // MARK: Waiting

    private static let turnMilliseconds: Int32 = 250

    private func waitForTurn() {
        do {
            let key = FileKey(try FileStatus(of: root))
            while !table.tryToWatch(key) {
                if waitReadable(socket, timeoutMilliseconds: Self.turnMilliseconds) != 0 { return }
            }
            if byDirectories {
                try watch(DirectoryTree(root))
            } else {
                let tree = try WatchedTree(root)
                _ = try cutCapabilities(to: .fileHandles, CapabilityChanges())
                try filters.load(.watch)
                try watch(tree)
            }
        } catch let refusal as Refusal {
            Log.warning("what the host's programs change is not told: \(refusal.subject): \(refusal.reason)")
        } catch {
            Log.warning("what the host's programs change is not told: \(error)")
        }
    }

    // MARK: Watching

    /// Of the heartbeat, which is to grow every 100 ms.
    private static let beatMilliseconds: Int32 = 50
    private static let careNanoseconds: Int64 = 1_000_000_000
    /// Who waits for events is woken by each, which whoever causes it pays for. Daemons tell what they do themselves, so theirs may come
    /// together.
    private static let napMilliseconds: Int32 = 2

    /// Until the daemon has gone.
    private func watch<Source: HostSource>(_ source: Source) throws(Refusal) {
        // Changes may have been lost before, and are not from now on.
        loseAll()
        var teller = EventTeller(table, source)
        var lastCare: Int64 = 0
        while true {
            table.beat()
            let ready = waitReadable(
                socket, source.descriptor, timeoutMilliseconds: Self.beatMilliseconds)
            if ready & 1 != 0 { return }
            if ready & 2 != 0 {
                let losses = teller.losses
                let isOthers: Bool
                do throws(Refusal) { isOthers = try take(source, &teller) } catch {
                    loseAll()
                    throw error
                }
                if !isOthers, waitReadable(socket, timeoutMilliseconds: Self.napMilliseconds) != 0 { return }
                if teller.losses > losses { logLoss(teller.losses) }
            }
            let now = monotonicNanoseconds()
            if now - lastCare < Self.careNanoseconds { continue }
            lastCare = now
            table.repairDeadWriters()
            if source.hasNewMount() { return leave() }
        }
    }

    /// Returns whether something has happened that no daemon at this table has done.
    private func take<Source: HostSource>(
        _ source: Source, _ teller: inout EventTeller<Source>
    ) throws(Refusal) -> Bool {
        let events = try source.take()
        // After the events: who has done one of them had said who it is before.
        let daemons = source.knowsProcesses ? table.processes(in: namespace) : [:]
        for event in events { teller.tell(event, daemons: daemons) }
        return !events.allSatisfy { daemons[$0.process] != nil }
    }

    private func logLoss(_ count: UInt64) {
        if count == 1 {
            Log.warning(
                "the host's programs changed more than the kernel keeps "
                    + "(fs.\(byDirectories ? "inotify" : "fanotify").max_queued_events): "
                    + "everything cached has been declared stale")
        }
    }

    private func loseAll() {
        table.beginEpoch()
        table.journal.append(JournalRecord(.everything))
    }

    /// It has no right to watch that mount any more, so another process has to, or nobody does.
    private func leave() {
        loseAll()
        Log.warning(
            "something was mounted below the shared directory, and what the host's programs change is no longer told; "
                + "start the daemon anew")
    }
}
