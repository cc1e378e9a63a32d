// SPDX-License-Identifier: Apache-2.0
import Errors

/// Some whole pages of the DAX window that show a piece of a file.
public struct WindowPiece: Hashable, Sendable {
    /// Where in the window.
    public var offset: UInt64
    public var byteCount: UInt64
    /// Where in the file.
    public var fileOffset: UInt64

    public init(offset: UInt64, byteCount: UInt64, fileOffset: UInt64) {
        self.offset = offset
        self.byteCount = byteCount
        self.fileOffset = fileOffset
    }
}

/// The DAX window of the device, as a file system fills it. Any thread; each call lasts until the VMM has answered.
public protocol FileWindow: AnyObject, Sendable {
    /// A power of two.
    var byteCount: Int { get }
    /// Whether the VMM that is connected has said that it maps what it is asked to.
    var isUsable: Bool { get }
    /// Makes a piece appear. The descriptor may be closed afterwards.
    ///
    /// - Throws: EIO when the VMM refuses, or cannot be asked now.
    func map(_ file: Int32, _ piece: WindowPiece, writable: Bool) throws(Errno)
    /// Takes away a piece that `map` made appear. The same errors, after which it may still be there.
    func unmap(_ piece: WindowPiece) throws(Errno)
}
