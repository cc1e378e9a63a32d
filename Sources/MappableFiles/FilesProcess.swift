// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import HostOS
import Sandbox

/// The process that makes files mappable, from its first instruction to its end.
struct FilesProcess: ~Copyable {
    /// What stays open, and under which number, so that the filter can say so and nothing else is kept.
    private enum Place {
        static let calls: Int32 = 3
        static let device: Int32 = 4
        static let announcements: Int32 = 5
        static let first: Int32 = 6
    }

    private var server = FileServer(device: Place.device)
    private var truncations: TruncationGuard

    /// Becomes that process, with everything that this one has, and never comes back. It ends when the last descriptor of the other
    /// end of `calls` does.
    ///
    /// The numbers are given away.
    ///
    /// - Parameters:
    ///   - calls: its end of the socket pair for `Call` and `Answer`, of packets.
    ///   - announcements: its end of the pair for `Announcement` and `Acknowledgement`.
    ///   - device: the first channel of the mount.
    static func become(calls: Int32, announcements: Int32, device: Int32, _ filter: FilterAction) -> Never {
        var step = StartStep.descriptors
        do throws(Errno) {
            ignoreEndSignals()
            try keepOnly([calls, device, announcements])
            var process = FilesProcess(truncations: makeGuard())
            try process.prepare(filter, &step)
            try sendPacket(Answer(), to: Place.calls)
            process.serve()
        } catch {
            // Before the numbers are in place the daemon only sees that it has ended.
            if step != .descriptors {
                try? sendPacket(Answer(error: error.rawValue, value: step.rawValue), to: Place.calls)
            }
        }
        _exit(0)
    }

    /// Closes what belongs to the launcher: who waits for the end of a pipe must not wait for this process.
    private static func keepOnly(_ own: [Int32]) throws(Errno) {
        let null = try systemCall { unsafe open("/dev/null", O_RDWR | O_CLOEXEC) }
        // Out of the way first, so that no number is overwritten before it is copied.
        let moved = try move([null, null, null] + own)
        for (place, number) in moved.enumerated() {
            _ = try systemCall { dup2(number, Int32(place)) }
        }
        _ = try systemCall { close_range(UInt32(Place.first), UInt32.max, 0) }
        // No file system of the launcher's stays in use.
        _ = try systemCall { unsafe chdir("/") }
    }

    private static func move(_ numbers: [Int32]) throws(Errno) -> [Int32] {
        var moved: [Int32] = []
        for number in numbers {
            moved.append(try systemCall { vfs_fcntl_int(number, F_DUPFD_CLOEXEC, 16) })
        }
        return moved
    }

    /// Where the host has no such events, or no /proc to see who is the daemon, it goes without.
    private static func makeGuard() -> TruncationGuard {
        if var limit = try? DescriptorLimit.current() {
            limit.soft = max(limit.soft, min(limit.hard, 1024))
            try? limit.apply()
        }
        let processes = unsafe open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)
        let group = processes < 0 ? -1 : vfs_fanotify_group()
        return TruncationGuard(group: group, announcements: Place.announcements, processes: processes)
    }

    private init(truncations: consuming TruncationGuard) { self.truncations = truncations }

    private mutating func prepare(_ filter: FilterAction, _ step: inout StartStep) throws(Errno) {
        _ = unsafe pthread_setname_np(pthread_self(), "virtiofsd-files")
        try forbidCoreDumps()
        try forbidInspection()
        _ = try systemCall { vfs_want_sender(Place.calls) }

        step = .capabilities
        try forbidNewPrivileges()
        do throws(StartupError) {
            _ = try cutCapabilities(to: .ofFilesProcess, CapabilityChanges())
        } catch {
            throw .EPERM
        }

        step = .mount
        let deadline = Deadline(milliseconds: 5000)
        while server.offered == nil {
            guard waitReadable(Place.device, until: deadline) else { throw .ETIMEDOUT }
            if server.serveNext() == .ended { throw .ENODEV }
        }
        step = .passthrough
        guard let offered = server.offered, offered & InitFlags.passthrough != 0 else { throw .EOPNOTSUPP }

        step = .backing
        let file = try makeMemoryFile(name: "backing", byteCount: 0)
        try server.tryBacking(file.rawValue)

        step = .filter
        try confineFilesProcess(filter)
    }

    /// Until the daemon has gone.
    private mutating func serve() {
        while true {
            // Who has ended, and what there is no room for, would be ready all the time.
            let group = truncations.isFull ? -1 : truncations.group
            let ready = waitReadable(
                Place.calls, Place.device, truncations.announcements, group, timeoutMilliseconds: timeout)
            if ready & 1 != 0, !takeCalls() { return }
            if ready & 2 != 0, !serveKernel() { return }
            if ready & 4 != 0 { truncations.takeAcknowledgements() }
            if ready & 8 != 0 { truncations.takeEvents() }
            truncations.review()
            server.giveBack()
        }
    }

    private var timeout: Int32 {
        let times = [server.timeoutMilliseconds, truncations.timeoutMilliseconds]
        return times.filter { $0 >= 0 }.min() ?? -1
    }

    /// Requests in a row before somebody else has a turn.
    private static let turn = 64

    /// False: the mount has gone.
    private mutating func serveKernel() -> Bool {
        for _ in 0..<Self.turn {
            switch server.serveNext() {
            case .served: continue
            case .idle: return true
            case .ended: return false
            }
        }
        return true
    }

    /// False: the daemon has gone, or sends what no daemon of ours does.
    private mutating func takeCalls() -> Bool {
        for _ in 0..<Self.turn {
            do throws(Errno) {
                let call = try receivePacket(as: Call(), from: Place.calls)
                if call.sender > 0 { truncations.daemon = call.sender }
                var answer = Answer(sequence: call.packet.sequence)
                do throws(Errno) {
                    answer.value = try carryOut(call)
                } catch {
                    answer.error = error.rawValue
                }
                try sendPacket(answer, to: Place.calls)
            } catch {
                return error == .EAGAIN
            }
        }
        return true
    }

    private mutating func carryOut(_ call: borrowing Received<Call>) throws(Errno) -> UInt64 {
        // Without one the message had none, or this process has no number left for it.
        guard let kind = Call.Kind(rawValue: call.packet.kind) else { throw .EINVAL }
        switch call.descriptor {
        case .none: throw .EMFILE
        case .some(let file):
            switch kind {
            case .open: return try server.admit(file.rawValue)
            case .protect: return try truncations.protect(file.rawValue).rawValue
            case .unprotect:
                try truncations.unprotect(file.rawValue)
                return 0
            }
        }
    }
}
