// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization

/// One of a ring's eventfds, under a number that never changes while the front-end exchanges what is behind it.
///
/// The front-end may send a new call or kick descriptor at any time (QEMU does at every interrupt mask); dup3(2) puts it
/// behind the old number in one step, so the worker needs no lock to use it and can never hit a reused number.
final class StableDescriptor: Sendable {
    /// −1 until a descriptor was first set.
    private let number = Atomic<Int32>(-1)

    deinit {
        let last = number.load(ordering: .relaxed)
        if last >= 0 { _ = close(last) }
    }

    /// The number to use now, or −1.
    var rawValue: Int32 { number.load(ordering: .acquiring) }

    /// Puts `descriptor` behind the number. It is switched to non-blocking: a front-end's full pipe, or somebody else
    /// reading the same eventfd, must not hold up a worker. Only called by the control thread.
    func replace(with descriptor: consuming OwnedDescriptor) throws(Errno) {
        let source = descriptor.rawValue
        let flags = try systemCall { vfs_fcntl_int(source, F_GETFL, 0) }
        _ = try systemCall { vfs_fcntl_int(source, F_SETFL, flags | O_NONBLOCK) }
        let current = rawValue
        if current < 0 {
            number.store(descriptor.release(), ordering: .releasing)
        } else {
            _ = try systemCall { dup3(source, current, O_CLOEXEC) }
        }
    }

    /// Nobody listens behind the number any more: what is written to it is lost, and it is never readable.
    func disconnect() throws(Errno) {
        guard rawValue >= 0 else { return }
        let sink = OwnedDescriptor(adopting: try systemCall { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
        try replace(with: sink)
    }
}
