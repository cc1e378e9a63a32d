// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Whether `descriptor` is of a regular file, as a memfd is: reading and mapping it never waits for a peer.
public func isRegularFile(_ descriptor: Int32) throws(Errno) -> Bool {
    var status = stat()
    _ = try systemCall { unsafe fstat(descriptor, &status) }
    return status.st_mode & S_IFMT == S_IFREG
}
