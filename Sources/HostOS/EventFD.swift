// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// An eventfd of our own: a counter that wakes whoever polls it.
public final class EventFD: Sendable {
    public let descriptor: OwnedDescriptor

    /// A counter at zero, close-on-exec, never blocking.
    public init() throws(Errno) {
        descriptor = OwnedDescriptor(
            adopting: try systemCall { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Adds one: wakes a waiter now, or makes its next wait return at once.
    public func signal() { signalEvent(descriptor.rawValue) }

    /// Sets the counter back to zero.
    @discardableResult
    public func clear() -> Bool { clearEvent(descriptor.rawValue) }
}

/// Adds one to the eventfd `number`, or writes eight bytes where a peer gave us a pipe (UML does).
/// A full counter or pipe means that the peer has a wake-up pending already, so a failure is not an error.
public func signalEvent(_ number: Int32) {
    var one: UInt64 = 1
    _ = unsafe write(number, &one, 8)
}

/// Reads the eventfd `number` once, which must not block. Returns false when there was nothing to read.
@discardableResult
public func clearEvent(_ number: Int32) -> Bool {
    var count: UInt64 = 0
    return unsafe read(number, &count, 8) > 0
}

/// A semaphore at zero (eventfd(2), EFD_SEMAPHORE) for threads that have nothing else to wait for.
public func makeSemaphore() throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(adopting: try systemCall { eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE)) })
}

/// Adds `count`: lets as many waiters go on.
public func postSemaphore(_ number: Int32, _ count: Int) {
    var value = UInt64(count)
    if value > 0 { _ = unsafe write(number, &value, 8) }
}

/// Waits until the semaphore is above zero and takes one.
public func waitSemaphore(_ number: Int32) {
    var value: UInt64 = 0
    while unsafe read(number, &value, 8) < 0, errno == EINTR {}
}
