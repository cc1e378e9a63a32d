// SPDX-License-Identifier: Apache-2.0

/// An error number of the Linux system-call interface; what `fuse_out_header.error` carries, negated.
///
/// The values are the asm-generic ones, the same on every architecture this project builds for. Kept free of libc so
/// that the protocol modules stay pure.
package struct Errno: Error, Hashable, Sendable {
    /// A positive error number, 1…4095.
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let EPERM = Errno(rawValue: 1)
    package static let ENOENT = Errno(rawValue: 2)
    package static let ESRCH = Errno(rawValue: 3)
    package static let EINTR = Errno(rawValue: 4)
    package static let EIO = Errno(rawValue: 5)
    package static let ENXIO = Errno(rawValue: 6)
    package static let E2BIG = Errno(rawValue: 7)
    package static let ENOEXEC = Errno(rawValue: 8)
    package static let EBADF = Errno(rawValue: 9)
    package static let EAGAIN = Errno(rawValue: 11)
    package static let ENOMEM = Errno(rawValue: 12)
    package static let EACCES = Errno(rawValue: 13)
    package static let EFAULT = Errno(rawValue: 14)
    package static let EBUSY = Errno(rawValue: 16)
    package static let EEXIST = Errno(rawValue: 17)
    package static let EXDEV = Errno(rawValue: 18)
    package static let ENODEV = Errno(rawValue: 19)
    package static let ENOTDIR = Errno(rawValue: 20)
    package static let EISDIR = Errno(rawValue: 21)
    package static let EINVAL = Errno(rawValue: 22)
    package static let ENFILE = Errno(rawValue: 23)
    package static let EMFILE = Errno(rawValue: 24)
    package static let ENOTTY = Errno(rawValue: 25)
    package static let ETXTBSY = Errno(rawValue: 26)
    package static let EFBIG = Errno(rawValue: 27)
    package static let ENOSPC = Errno(rawValue: 28)
    package static let ESPIPE = Errno(rawValue: 29)
    package static let EROFS = Errno(rawValue: 30)
    package static let EMLINK = Errno(rawValue: 31)
    package static let EPIPE = Errno(rawValue: 32)
    package static let EDOM = Errno(rawValue: 33)
    package static let ERANGE = Errno(rawValue: 34)
    package static let EDEADLK = Errno(rawValue: 35)
    package static let ENAMETOOLONG = Errno(rawValue: 36)
    package static let ENOLCK = Errno(rawValue: 37)
    package static let ENOSYS = Errno(rawValue: 38)
    package static let ENOTEMPTY = Errno(rawValue: 39)
    package static let ELOOP = Errno(rawValue: 40)
    package static let ENODATA = Errno(rawValue: 61)
    package static let EPROTO = Errno(rawValue: 71)
    package static let EOVERFLOW = Errno(rawValue: 75)
    package static let EOPNOTSUPP = Errno(rawValue: 95)
    package static let EADDRINUSE = Errno(rawValue: 98)
    package static let ECONNRESET = Errno(rawValue: 104)
    package static let ENOTCONN = Errno(rawValue: 107)
    package static let ETIMEDOUT = Errno(rawValue: 110)
    package static let ECONNREFUSED = Errno(rawValue: 111)
    package static let ESTALE = Errno(rawValue: 116)
    package static let EUSERS = Errno(rawValue: 87)
    package static let EDQUOT = Errno(rawValue: 122)
    package static let ECANCELED = Errno(rawValue: 125)
}
