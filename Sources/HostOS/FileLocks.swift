// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Locks that belong to an open file description, so that nobody else's close or exit drops them.
package enum DescriptionLock: Sendable {
    /// A range of bytes (F_OFD_*): `type` F_RDLCK, F_WRLCK or F_UNLCK; `length` 0 reaches to the end of all files.
    case record(type: Int16, start: Int, length: Int)
    /// The whole file, flock(2): LOCK_SH, LOCK_EX or LOCK_UN.
    case whole(Int32)

    private static func range(_ type: Int16, _ start: Int, _ length: Int) -> flock {
        var lock = flock()
        lock.l_type = type
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = start
        lock.l_len = length
        lock.l_pid = 0  // demanded of F_OFD_*
        return lock
    }

    /// Sets or drops the lock without waiting; EAGAIN if somebody else's is in the way.
    package func set(on descriptor: Int32) throws(Errno) {
        switch self {
        case .record(let type, let start, let length):
            var lock = Self.range(type, start, length)
            _ = try systemCall { unsafe vfs_fcntl_lock(descriptor, F_OFD_SETLK, &lock) }
        case .whole(let operation):
            _ = try systemCall { flock(descriptor, operation | LOCK_NB) }
        }
    }

    /// Waits for the lock; EINTR when a signal came first.
    package func wait(on descriptor: Int32) throws(Errno) {
        let result: Int32
        switch self {
        case .record(let type, let start, let length):
            var lock = Self.range(type, start, length)
            result = unsafe vfs_fcntl_lock(descriptor, F_OFD_SETLKW, &lock)
        case .whole(let operation):
            result = flock(descriptor, operation)
        }
        if result == -1 { throw Errno(rawValue: errno) }
    }

    /// The first lock that would stop a record lock like this one, or nil. `.whole` has no such question: EINVAL.
    package func conflict(on descriptor: Int32) throws(Errno) -> (type: Int16, start: Int, length: Int)? {
        guard case .record(let type, let start, let length) = self else { throw .EINVAL }
        var lock = Self.range(type, start, length)
        _ = try systemCall { unsafe vfs_fcntl_lock(descriptor, F_OFD_GETLK, &lock) }
        return lock.l_type == F_UNLCK ? nil : (lock.l_type, lock.l_start, lock.l_len)
    }
}

/// A second descriptor of the same open file description, close-on-exec: locks through either are the same.
package func duplicate(_ descriptor: Int32) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(adopting: try systemCall { vfs_fcntl_int(descriptor, F_DUPFD_CLOEXEC, 3) })
}
