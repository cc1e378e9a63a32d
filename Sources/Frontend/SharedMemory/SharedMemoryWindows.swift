// SPDX-License-Identifier: Apache-2.0
import Errors
import VhostUser

/// All shared memory regions of a device.
package struct SharedMemoryWindows: Sendable {
    /// The RFC's numbers: the cache of file contents (DAX), the table of versions, the journal.
    package static let cacheID: UInt8 = 0
    package static let versionTableID: UInt8 = 1
    package static let journalID: UInt8 = 2

    /// More address space than this in all is refused: a process has 128 TiB.
    private static let maximumByteCount = 1 << 40
    /// Pieces in all windows together; a piece can cost two entries of the 65530 that a process may have.
    private static let maximumPieces = 16384

    /// By ascending id.
    package let all: [SharedMemoryWindow]

    package init() { all = [] }

    /// One window for each size that is not 0; the index is the id.
    ///
    /// - Throws: `invalidValue` when a size is no multiple of the page size, or they are too large.
    package init(sizes: [UInt64]) throws(VhostUserError) {
        var total = 0
        let count = sizes.count { $0 != 0 }
        var windows: [SharedMemoryWindow] = []
        for (number, size) in sizes.enumerated() where size != 0 {
            guard let id = UInt8(exactly: number), let byteCount = Int(exactly: size),
                byteCount <= Self.maximumByteCount - total
            else { throw .invalidValue }
            total += byteCount
            do throws(Errno) {
                windows.append(
                    try SharedMemoryWindow(
                        id: id, byteCount: byteCount, maximumPieces: Self.maximumPieces / count))
            } catch {
                throw error == .EINVAL ? .invalidValue : .system(error)
            }
        }
        all = windows
    }

    package subscript(id: UInt8) -> SharedMemoryWindow? { all.first { $0.id == id } }

    /// Takes everything out of every window, as a reset of the device does.
    package func unmapAll() throws(Errno) {
        for window in all { try window.unmapAll() }
    }
}
