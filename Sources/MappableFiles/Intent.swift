// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// A system call that a thread waits in, as /proc/TID/syscall shows it.
struct ThreadCall: Equatable {
    let number: Int
    /// Six of them.
    let arguments: [UInt64]
    /// Whether the registers are those of a program. A thread that the kernel has started inside a process, such as io_uring's, has
    /// what its maker had, but for these two.
    let isOfProgram: Bool

    /// nil: the thread is not in a system call, or nobody can tell.
    init?(_ line: String) {
        let words = line.split { $0 == " " || $0 == "\n" }
        guard words.count == 9, let number = Int(words[0]), number >= 0 else { return nil }
        let values = words.dropFirst().compactMap { UInt64($0.dropFirst(2), radix: 16) }
        guard values.count == 8 else { return nil }
        self.number = number
        arguments = Array(values.prefix(6))
        isOfProgram = values[6] != 0 || values[7] != 0
    }
}

/// What somebody who is about to open or use a file may do to its length.
enum Intent: Equatable {
    case harmless
    /// Make it this long, or do what nobody can tell, to nothing before this offset. It may turn out to be longer than it was.
    case shrinks(to: UInt64)
    /// The thread is not asleep yet.
    case running
}

extension Intent {
    /// - Parameters:
    ///   - line: what /proc/TID/syscall says; nil: it cannot be read.
    ///   - word: reads eight bytes of the thread's memory.
    init(_ event: vfs_fanotify_event, _ line: String?, word: (UInt64) -> UInt64?) {
        // Somebody opens for the kernel, or has other numbers for his system calls: the worst.
        let isOpen = event.is_open != 0
        // What is about more than the page of an end is no new length, whoever says so.
        let isUse = !isOpen && event.count > UInt64(getpagesize())
        let unknown = isUse ? Intent.harmless : .shrinks(to: isOpen ? 0 : event.offset)
        self = unknown
        guard let line else { return }
        if line.hasPrefix("running") {
            self = .running
            return
        }
        guard let call = ThreadCall(line), call.isOfProgram else { return }
        let arguments = call.arguments
        switch vfs_call_kind(call.number) {
        case VFS_CALL_READS: if !isOpen { self = .harmless }
        case VFS_CALL_EXECUTES: self = .harmless
        case VFS_CALL_TRUNCATE:
            // The event is about the page of the new end: if not, these are not the arguments.
            let page = UInt64(getpagesize())
            if !isOpen, arguments[1] / page == event.offset / page { self = .shrinks(to: arguments[1]) }
        case VFS_CALL_FALLOCATE:
            guard !isOpen else { return }
            let collapses = arguments[1] & UInt64(FALLOC_FL_COLLAPSE_RANGE) != 0
            self = collapses ? .shrinks(to: arguments[2]) : .harmless
        case VFS_CALL_OPEN: self = Self.opening(arguments[1], isOpen, unknown)
        case VFS_CALL_OPENAT: self = Self.opening(arguments[2], isOpen, unknown)
        case VFS_CALL_OPENAT2:
            // struct open_how begins with its flags.
            if let flags = word(arguments[2]) { self = Self.opening(flags, isOpen, unknown) }
        default: break
        }
    }

    /// O_TRUNC empties a file even when it is opened for reading.
    private static func opening(_ flags: UInt64, _ isOpen: Bool, _ unknown: Intent) -> Intent {
        if flags & UInt64(O_TRUNC) != 0 { return .shrinks(to: 0) }
        return isOpen ? .harmless : unknown
    }
}
