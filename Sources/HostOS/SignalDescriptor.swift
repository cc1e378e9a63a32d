// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Signals as something to poll instead of something that interrupts (signalfd).
package struct SignalDescriptor: ~Copyable, Sendable {
    package let descriptor: OwnedDescriptor

    /// Blocks `signals` in this thread and those it starts from now on, and collects them here. Call it before any
    /// other thread exists, or a signal may reach a thread that does not block it.
    package init(collecting signals: [Int32]) throws(Errno) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        let failure = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        guard failure == 0 else { throw Errno(rawValue: failure) }
        let flags = Int32(SFD_CLOEXEC | SFD_NONBLOCK)
        descriptor = OwnedDescriptor(adopting: try systemCall { unsafe signalfd(-1, &set, flags) })
    }

    /// Takes one signal that has arrived, if any; never blocks.
    package borrowing func next() -> Int32? {
        var record = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(descriptor.rawValue, &record, size) == size else { return nil }
        return Int32(exactly: record.ssi_signo)
    }
}

/// Makes writes to a closed pipe or socket fail with EPIPE instead of ending the process.
package func ignoreBrokenPipes() {
    _ = signal(SIGPIPE, SIG_IGN)
}

/// Makes writes beyond an inherited limit of file sizes fail with EFBIG instead of ending the process.
package func ignoreFileSizeSignals() {
    _ = signal(SIGXFSZ, SIG_IGN)
}
