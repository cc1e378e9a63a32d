// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Makes a system call that returns −1 with `errno` on failure; restarts it when a signal interrupted it.
///
/// Put into its caller, so that `call` is no closure there.
@inlinable public func systemCall(_ call: () -> Int32) throws(Errno) -> Int32 {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = errno  // read before anything else can run
        if code != EINTR { throw Errno(rawValue: code) }
    }
}

/// The same for calls that return a byte count or an offset.
@inlinable public func systemCall(_ call: () -> Int) throws(Errno) -> Int {
    while true {
        let result = call()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw Errno(rawValue: code) }
    }
}

/// The system's sentence for an error number, for people.
public func describe(_ error: Errno) -> String {
    // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
    unsafe String(cString: strerror(error.rawValue))
}
