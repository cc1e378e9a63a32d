// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

// Extended attributes of the object behind `path`: a /proc/self/fd/N, so that O_PATH descriptors of every file type work
// and nothing is opened. The link of /proc is followed, a symbolic link behind it is not.

/// Returns the value's length; an empty buffer only asks for that.
package func getAttribute(
    _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, into value: UnsafeMutableRawBufferPointer
) throws(Errno) -> Int {
    try systemCall { unsafe getxattr(path, name, value.baseAddress, value.count) }
}

/// `flags` are XATTR_CREATE or XATTR_REPLACE.
package func setAttribute(
    _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, to value: UnsafeRawBufferPointer, flags: Int32
) throws(Errno) {
    _ = try systemCall { unsafe setxattr(path, name, value.baseAddress, value.count, flags) }
}

/// Returns the length of the list of names, each with its NUL; an empty buffer only asks for that.
package func listAttributes(
    _ path: UnsafePointer<CChar>, into names: UnsafeMutableRawBufferPointer
) throws(Errno) -> Int {
    try systemCall {
        unsafe listxattr(path, names.baseAddress?.assumingMemoryBound(to: CChar.self), names.count)
    }
}

package func removeAttribute(_ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>) throws(Errno) {
    _ = try systemCall { unsafe removexattr(path, name) }
}
