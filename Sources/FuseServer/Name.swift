// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// One path component as the guest sent it: bytes, never text; NUL-terminated in the worker's scratch memory.
///
/// A `Name` has been checked: not empty, not "." or "..", no "/", no NUL inside, at most 255 bytes (`Name.maximumByteCount`).
/// It is only valid while its request is handled.
@safe public struct Name {
    /// The bytes and their terminating NUL, as system calls want them.
    public let cString: UnsafePointer<CChar>
    /// Without the NUL.
    public let byteCount: Int

    /// NAME_MAX of Linux.
    public static let maximumByteCount = RequestReader.maximumNameByteCount

    /// Wraps bytes that the decoder has checked.
    public init(checked cString: UnsafePointer<CChar>, byteCount: Int) {
        unsafe self.cString = unsafe cString
        self.byteCount = byteCount
    }
}

/// A NUL-terminated byte string that is no path component: a symbolic link's target or an xattr's name.
@safe public struct Text {
    public let cString: UnsafePointer<CChar>
    /// Without the NUL.
    public let byteCount: Int

    public init(checked cString: UnsafePointer<CChar>, byteCount: Int) {
        unsafe self.cString = unsafe cString
        self.byteCount = byteCount
    }
}
