// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// One path component as the guest sent it: bytes, never text; NUL-terminated in the worker's scratch memory.
///
/// A `Name` has been checked: not empty, not "." or "..", no "/", no NUL inside, at most 255 bytes (`Name.maximumByteCount`).
/// It is only valid while its request is handled.
@safe package struct Name {
    /// The bytes and their terminating NUL, as system calls want them.
    package let cString: UnsafePointer<CChar>
    /// Without the NUL.
    package let byteCount: Int

    /// NAME_MAX of Linux.
    package static let maximumByteCount = RequestReader.maximumNameByteCount

    /// Wraps bytes that the decoder has checked.
    package init(checked cString: UnsafePointer<CChar>, byteCount: Int) {
        unsafe self.cString = unsafe cString
        self.byteCount = byteCount
    }
}

/// A NUL-terminated byte string that is no path component: a symbolic link's target or an xattr's name.
@safe package struct Text {
    package let cString: UnsafePointer<CChar>
    /// Without the NUL.
    package let byteCount: Int

    package init(checked cString: UnsafePointer<CChar>, byteCount: Int) {
        unsafe self.cString = unsafe cString
        self.byteCount = byteCount
    }
}
