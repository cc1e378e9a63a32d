// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Learns from the kernel who is about to open, read or change a protected file, and holds those who may make it shorter until the
/// daemon knows. Nobody is held longer than `milliseconds`.
struct TruncationGuard {
    private struct Held {
        let token: UInt64
        let event: vfs_fanotify_event
        let end: Deadline
        /// nil: the thread was still running when it was looked at.
        var announcement: Announcement?
        var isSent = false
    }

    static let milliseconds: Int32 = 2000
    /// Each is an open file of this process; more wait in the kernel.
    static let capacity = 256
    /// Announcements without an acknowledgement, so that the socket is never full.
    private static let window = 32
    /// A thread falls asleep at once after its event is there, if it gets to run: on a busy machine we can be first by a long time. One
    /// that does not for so long is one that nobody can tell what it does.
    private static let patience: Int32 = 1500

    /// −1: the host has no such events.
    let group: Int32
    /// −1: the daemon does not listen any more.
    private(set) var announcements: Int32
    /// O_PATH of /proc.
    private let processes: Int32
    /// The daemon takes care of what its own threads do.
    var daemon: pid_t = 0

    private var held: [Held] = []
    private var last: UInt64 = 0

    init(group: Int32, announcements: Int32, processes: Int32) {
        self.group = group
        self.announcements = announcements
        self.processes = processes
    }

    var isFull: Bool { held.count >= Self.capacity }

    /// How long may pass before `review` has something to do; −1: for ever.
    var timeoutMilliseconds: Int32 {
        if held.contains(where: { $0.announcement == nil }) { return 1 }
        return held.first?.end.remainingMilliseconds ?? -1
    }

    // MARK: For the daemon

    /// Returns a `Protection`.
    func protect(_ file: Int32) throws(Errno) -> Protection {
        try FileServer.checkWritable(file)
        guard group >= 0 else { throw .EOPNOTSUPP }
        let group = group
        do throws(Errno) {
            _ = try systemCall { vfs_fanotify_add(group, file, 1) }
            return .full
        } catch {
            // EINVAL: the kernel (before 6.14) has no such events at all.
            guard error == .EOPNOTSUPP || error == .EINVAL else { throw error }
        }
        do throws(Errno) {
            _ = try systemCall { vfs_fanotify_add(group, file, 0) }
            return .partial
        } catch {
            throw error == .EINVAL ? .EOPNOTSUPP : error
        }
    }

    func unprotect(_ file: Int32) throws(Errno) {
        guard group >= 0 else { throw .EOPNOTSUPP }
        let group = group
        do throws(Errno) { _ = try systemCall { vfs_fanotify_remove(group, file) } } catch .ENOENT {
            // It was not protected.
        }
    }

    /// Takes what the daemon has dealt with.
    mutating func takeAcknowledgements() {
        while announcements >= 0 {
            do throws(Errno) {
                let token = try receivePacket(as: Acknowledgement(), from: announcements).packet.token
                if let index = held.firstIndex(where: { $0.token == token && $0.isSent }) {
                    allow(held.remove(at: index).event)
                }
            } catch .EAGAIN {
                break
            } catch {
                // Nobody listens any more.
                announcements = -1
                for one in held { allow(one.event) }
                held = []
            }
        }
        announce()
    }

    // MARK: For the kernel

    /// Takes what there is, up to the capacity.
    mutating func takeEvents() {
        guard !isFull else { return }
        let group = group
        let room = Int(VFS_FANOTIFY_EVENTS)
        let events = unsafe withUnsafeTemporaryAllocation(of: vfs_fanotify_event.self, capacity: room) {
            (buffer) -> [vfs_fanotify_event] in
            let count = unsafe vfs_fanotify_read(group, buffer.baseAddress)
            // SAFETY: so many have been stored.
            return count > 0 ? unsafe Array(buffer[..<Int(count)]) : []
        }
        for event in events { take(event) }
        announce()
    }

    private mutating func take(_ event: vfs_fanotify_event) {
        guard announcements >= 0, !isDaemon(event.thread) else { return allow(event) }
        last += 1
        var one = Held(token: last, event: event, end: Deadline(milliseconds: Self.milliseconds))
        switch intent(event) {
        case .harmless: return allow(event)
        case .running: break
        case .shrinks(let length): one.announcement = announcement(one, length)
        }
        held.append(one)
    }

    /// Looks again at those who were running, and lets go whom the daemon keeps waiting.
    mutating func review() {
        if held.isEmpty { return }
        var kept: [Held] = []
        for var one in held {
            if one.end.hasPassed {
                allow(one.event)
                continue
            }
            if one.announcement == nil {
                var found = intent(one.event)
                if found == .running,
                    one.end.remainingMilliseconds < Self.milliseconds - Self.patience
                {
                    found = Intent(one.event, nil) { _ in nil }
                }
                if found == .harmless {
                    allow(one.event)
                    continue
                }
                if case .shrinks(let length) = found { one.announcement = announcement(one, length) }
            }
            kept.append(one)
        }
        held = kept
        announce()
    }

    private mutating func announce() {
        guard announcements >= 0 else { return }
        var sent = held.count { $0.isSent }
        for index in held.indices where !held[index].isSent && sent < Self.window {
            guard let announcement = held[index].announcement else { continue }
            // Whatever is wrong with the socket, its end will be seen, or the time passes.
            if (try? sendPacket(announcement, to: announcements)) == nil { return }
            held[index].isSent = true
            sent += 1
        }
    }

    private func announcement(_ one: Held, _ length: UInt64) -> Announcement? {
        var result = Announcement()
        result.token = one.token
        result.length = length
        // What has no status has no key that the daemon could know.
        if let status = try? FileStatus(of: one.event.file, flags: FileServer.unsynchronized) {
            let key = FileKey(status)
            (result.device, result.number) = (key.device, key.number)
        }
        return result
    }

    private func allow(_ event: vfs_fanotify_event) {
        _ = vfs_fanotify_allow(group, event.file)
        _ = close(event.file)
    }

    // MARK: Other processes

    private func isDaemon(_ thread: pid_t) -> Bool {
        guard daemon > 0, thread > 0 else { return false }
        return unsafe faccessat(processes, "\(daemon)/task/\(thread)", F_OK, 0) == 0
    }

    private func intent(_ event: vfs_fanotify_event) -> Intent {
        guard event.thread > 0 else { return Intent(event, nil) { _ in nil } }
        return Intent(event, line(event.thread)) { address in
            var word: UInt64 = 0
            return unsafe vfs_read_word(event.thread, address, &word) == 0 ? word : nil
        }
    }

    /// /proc/TID/syscall, which takes CAP_SYS_PTRACE.
    private func line(_ thread: pid_t) -> String? {
        let processes = processes
        let number = try? systemCall { unsafe openat(processes, "\(thread)/syscall", O_RDONLY | O_CLOEXEC) }
        guard let number else { return nil }
        let file = OwnedDescriptor(adopting: number)
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = unsafe read(file.rawValue, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
