// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The device behind a session. A thrown Errno becomes the error of the reply.
///
/// All calls come from the session's thread, and what they are given has been checked against what the device tells of
/// itself. Descriptors given are the device's; those it leaves are closed.
package protocol VfioDevice: AnyObject {
    /// The region with this index, which is below `RegionIndex.count`. Asked before each access.
    func region(_ index: UInt32) -> RegionInfo
    func interrupts(_ index: InterruptIndex) -> InterruptInfo

    /// How many ranges can be mapped at a time, which the client is told.
    var maximumMaps: Int { get }
    /// `file` is nil for memory that can only be reached by messages (ROM).
    ///
    /// - Throws: EEXIST if any of the range is mapped already, ENOSPC if there are `maximumMaps`.
    func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws(Errno)
    /// When this returns nothing of the range is used any longer.
    ///
    /// - Throws: ENOENT unless this very range was mapped.
    func unmap(address: UInt64, size: UInt64) throws(Errno)
    func unmapAll() throws(Errno)

    /// Exactly `count` bytes, 1 to 1 MiB, of a readable region.
    func read(_ region: UInt32, at offset: UInt64, count: Int) throws(Errno) -> [UInt8]
    /// 1 byte to 1 MiB for a writable region.
    func write(_ region: UInt32, at offset: UInt64, _ bytes: [UInt8]) throws(Errno)

    /// `descriptors` has as many as an `assign` counts, or none.
    func change(
        _ index: InterruptIndex, _ change: InterruptChange, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno)
    /// The device is as new, but for its memory and its interrupts.
    func reset() throws(Errno)
}
