// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// Our own memory by way of the kernel: an address where nothing is mapped, or whose file has been cut short, is an error
// instead of a signal.

/// Fills `target` from `source` on. EFAULT when some byte cannot be read; `target` may have been written in part.
package func readOwnMemory(_ source: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer)
    throws(Errno)
{
    guard let base = target.baseAddress else { return }
    var done = 0
    while done < target.count {
        var local = unsafe iovec(iov_base: base + done, iov_len: target.count - done)
        var remote = unsafe iovec(
            iov_base: UnsafeMutableRawPointer(mutating: source + done), iov_len: target.count - done)
        let count = try systemCall { unsafe process_vm_readv(getpid(), &local, 1, &remote, 1, 0) }
        guard count > 0 else { throw .EFAULT }
        done += count
    }
}

/// Writes `bytes` from `target` on. EFAULT when some byte cannot be written; some may have been.
package func writeOwnMemory(_ target: UnsafeMutableRawPointer, _ bytes: UnsafeRawBufferPointer) throws(Errno)
{
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
        var local = unsafe iovec(
            iov_base: UnsafeMutableRawPointer(mutating: base + done), iov_len: bytes.count - done)
        var remote = unsafe iovec(iov_base: target + done, iov_len: bytes.count - done)
        let count = try systemCall { unsafe process_vm_writev(getpid(), &local, 1, &remote, 1, 0) }
        guard count > 0 else { throw .EFAULT }
        done += count
    }
}
