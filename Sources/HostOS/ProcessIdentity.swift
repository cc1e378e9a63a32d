// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc

/// A process by its number, which means something in one process namespace only.
package struct ProcessIdentity: Hashable, Sendable {
    /// 0: not known.
    package var number: UInt32
    /// The namespace's inode number; 0: not known.
    package var namespace: UInt32

    package init(number: UInt32, namespace: UInt32) {
        self.number = number
        self.namespace = namespace
    }

    /// The calling process as those see it who have mounted /proc; nil where nobody has.
    package static func inProc() -> UInt32? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = unsafe readlink("/proc/self", &buffer, buffer.count)
        guard count > 0 else { return nil }
        return UInt32(String(decoding: buffer[..<count], as: UTF8.self))
    }

    /// The calling process in its own namespace. Where /proc is of another one the namespace is not known.
    package static func current() -> ProcessIdentity {
        let number = UInt32(bitPattern: getpid())
        var status = stat()
        guard inProc() == number, unsafe stat("/proc/self/ns/pid", &status) == 0 else {
            return ProcessIdentity(number: number, namespace: 0)
        }
        return ProcessIdentity(number: number, namespace: UInt32(truncatingIfNeeded: status.st_ino))
    }
}
