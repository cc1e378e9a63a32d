// SPDX-License-Identifier: Apache-2.0

/// What a mount knows of a file that the daemon wants mapped (FUSE_ATTR_DAX).
final class MappedNode {
    let id: UInt64
    /// In bytes, as last seen in a reply.
    var size: UInt64 = 0
    /// Until when, in nanoseconds of the monotonic clock, `size` counts: others may cut the file.
    var trustedUntil: Int64 = 0
    /// Requests on their way that may change contents or size. A READ that the kernel has sent after one must not overtake it.
    var changes = 0
    /// When the last of them ended, in changes of all files.
    var changedAt: UInt64 = 0
    var isDAX = true
    /// The daemon has refused to map a piece.
    var isRefused = false
    /// We have asked for its attributes.
    var isAsked = false
    /// What the kernel has forgotten, and the daemon hears when nothing is mapped any more.
    var forgets: UInt64 = 0
    /// Where a reader who goes on reads next.
    var nextOffset: UInt64 = 0
    /// By number of the piece (offset by the size of a range): the range of the window, whatever its state.
    var ranges: [UInt64: Int] = [:]

    init(_ id: UInt64) { self.id = id }
}

/// What a window was good for.
package struct WindowCounts: Equatable, Sendable {
    /// READs answered without the daemon.
    package var hits = 0
    /// READs of files that the daemon wants mapped, which it had to answer itself.
    package var misses = 0
    /// Of those: the bytes could not be read any more, as the file was cut or the daemon took the piece away.
    package var faults = 0
    /// Pieces mapped so far, and pieces taken back to be used for others.
    package var mappings = 0
    package var reclaims = 0
    /// Pieces that the daemon would not map.
    package var refusals = 0
    /// Pieces mapped now, and how many there can be.
    package var mapped = 0
    package var ranges = 0
    package init() {}
}
