// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Sandbox
import Synchronization

/// Files of this host as others that have the same data and are longer than any mapping: a VMM may refuse to map what lies beyond
/// the end of a file, or make the file longer.
///
/// They are files of a FUSE file system that nobody else sees, which the kernel hands through to the ones behind them (FUSE_PASSTHROUGH,
/// Linux 6.9). A process of its own answers for it, since that takes rights which the daemon gives up. It ends with this value,
/// in whatever process that is. It also announces that others are about to make a file shorter (`protect`).
package final class MappableFiles: Sendable {
    /// The root of the file system, O_PATH. A wall that holds the daemon to some directories has to let it read and write here.
    package let directory: OwnedDescriptor
    private let calls: OwnedDescriptor
    /// For `Announcement` and `Acknowledgement`.
    let announcements: OwnedDescriptor
    private let state = Mutex(State())

    private struct State: Sendable {
        var sequence: UInt32 = 0
        /// Whether the process still owes the answer to the last call.
        var isOwed = false
    }

    /// How long the process may take for an answer: it has nothing to wait for.
    private static let timeoutMilliseconds: Int32 = 3000
    private static let startMilliseconds: Int32 = 10_000

    private init(
        directory: consuming OwnedDescriptor, calls: consuming OwnedDescriptor,
        announcements: consuming OwnedDescriptor
    ) {
        self.directory = directory
        self.calls = calls
        self.announcements = announcements
    }

    // MARK: Start

    /// Starts the process. Call it as root, with one thread, and where /proc, /dev and all that a file may lie on are the host's.
    ///
    /// - Parameter filter: what becomes of a system call that the process has no use for.
    /// - Throws: when this host cannot, and why.
    package static func start(filter: FilterAction = .kill) throws(StartupError) -> MappableFiles {
        let device = try attempt(hint: "load the kernel module fuse, or allow the device /dev/fuse") {
            () throws(Errno) in try openFuseDevice()
        }
        let number = device.rawValue
        let mount = try attempt(hint: rightsHint) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { vfs_make_fuse_mount(number) })
        }
        let calls = try makePair()
        let ourCalls = OwnedDescriptor(adopting: calls.ours)
        let theirCalls = OwnedDescriptor(adopting: calls.theirs)
        let announcements = try makePair()
        let ourAnnouncements = OwnedDescriptor(adopting: announcements.ours)
        let theirAnnouncements = OwnedDescriptor(adopting: announcements.theirs)
        let child = try attempt(hint: "") { () throws(Errno) in try systemCall(vfs_fork) }
        if child == 0 {
            // A child's child: nobody has to wait for it at its end.
            if vfs_fork() != 0 { _exit(0) }
            FilesProcess.become(
                calls: theirCalls.release(), announcements: theirAnnouncements.release(),
                device: device.release(), filter)
        }
        while waitpid(child, nil, 0) < 0 && errno == EINTR {}
        // If its ends stayed open here, we would not see the process end.
        _ = consume theirCalls
        _ = consume theirAnnouncements
        _ = consume device
        try awaitStart(ourCalls.rawValue)
        return MappableFiles(directory: mount, calls: ourCalls, announcements: ourAnnouncements)
    }

    /// Two connected sockets, which the caller closes.
    private static func makePair() throws(StartupError) -> (ours: Int32, theirs: Int32) {
        try attempt(hint: "") { () throws(Errno) in
            let pair = try SocketPair(packets: true).split { ($0.release(), $1.release()) }
            for number in [pair.0, pair.1] { try setNonblocking(number) }
            return pair
        }
    }

    private static func awaitStart(_ socket: Int32) throws(StartupError) {
        guard waitReadable(socket, until: Deadline(milliseconds: startMilliseconds)) else {
            throw failure("the process for it does not answer", hint: "")
        }
        let answer: Answer
        do throws(Errno) {
            answer = try receivePacket(as: Answer(), from: socket).packet
        } catch {
            throw failure("the process for it has ended", hint: "")
        }
        guard answer.error != 0 else { return }
        let reason = describe(Errno(rawValue: answer.error))
        switch StartStep(rawValue: answer.value) {
        case .passthrough:
            throw failure(
                "the kernel has no FUSE passthrough", hint: "use Linux 6.9 with CONFIG_FUSE_PASSTHROUGH")
        case .backing: throw failure(reason, hint: rightsHint)
        case .filter:
            throw failure(
                "cannot filter its system calls: \(reason)",
                hint: "allow seccomp(2) where this process is confined, or say --seccomp none")
        case .capabilities: throw failure("cannot give up capabilities", hint: "allow capset(2) and prctl(2)")
        case .descriptors, .mount, nil: throw failure(reason, hint: "")
        }
    }

    private static let rightsHint = "it takes CAP_SYS_ADMIN, not in a user namespace"

    private static func failure(_ reason: String, hint: String) -> StartupError {
        StartupError(
            operation: "make", subject: "files mappable beyond their end", reason: reason, hint: hint)
    }

    private static func attempt<Result: ~Copyable>(
        hint: String, _ step: () throws(Errno) -> Result
    ) throws(StartupError) -> Result {
        do throws(Errno) { return try step() } catch { throw failure(describe(error), hint: hint) }
    }

    // MARK: Files

    /// Opens a file that has the data of `file` and a size of 2^62 bytes; what is written to it beyond the end makes `file` longer, what
    /// is mapped there does not. Any thread.
    ///
    /// It waits for the other process's turn a few times. If that one hangs it is an error after some seconds, or where the kernel is the one
    /// that waits for it after half a minute (Linux 6.15).
    ///
    /// - Parameter file: a regular file that was opened O_RDWR without O_APPEND; it stays the caller's.
    /// - Returns: O_RDWR, close-on-exec.
    /// - Throws: EACCES and EINVAL for other files; ELOOP for one on a file system that stands on two others; EOPNOTSUPP and others
    ///   where the file system cannot; ETIMEDOUT or ECONNABORTED when the process hangs; ECONNRESET, EPIPE
    ///   or ENOTCONN when it has gone.
    package func open(_ file: Int32) throws(Errno) -> OwnedDescriptor {
        let name = "\(try ask(.open, file))"
        let place = directory.rawValue
        let opened = OwnedDescriptor(
            adopting: try systemCall { unsafe openat(place, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW) })
        // The kernel would remember the name, and the file with it, until it runs short of memory. Now it hears that there is none.
        _ = unsafe try? FileStatus(place, name)
        return opened
    }

    /// What the process says. One question at a time: an answer takes it less than another thread's wake-up.
    func ask(_ kind: Call.Kind, _ file: Int32) throws(Errno) -> UInt64 {
        try state.withLock { (state) throws(Errno) -> UInt64 in
            if state.isOwed { try settle(&state) }
            state.sequence &+= 1
            try sendPacket(
                Call(kind: kind.rawValue, sequence: state.sequence), with: file, to: calls.rawValue)
            state.isOwed = true
            guard waitReadable(calls.rawValue, until: Deadline(milliseconds: Self.timeoutMilliseconds)) else {
                throw .ETIMEDOUT
            }
            let answer = try takeAnswer(&state)
            guard answer.sequence == state.sequence else { throw .EPROTO }
            if answer.error != 0 { throw Errno(rawValue: answer.error) }
            return answer.value
        }
    }

    /// An answer that came too late is nobody's; without it the process still hangs.
    private func settle(_ state: inout State) throws(Errno) {
        do throws(Errno) { _ = try takeAnswer(&state) } catch {
            throw error == .EAGAIN ? .ETIMEDOUT : error
        }
    }

    private func takeAnswer(_ state: inout State) throws(Errno) -> Answer {
        let answer = try receivePacket(as: Answer(), from: calls.rawValue).packet
        state.isOwed = false
        return answer
    }
}
