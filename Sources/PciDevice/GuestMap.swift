// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VfioUser
import VhostUser

/// The guest memory that the VMM lets the device reach (DMA_MAP), as the daemon is to hear of it.
final class GuestMap {
    /// The VMM is told. More would not fit our table of descriptors beside everything else.
    static let maximumRanges = 512

    private struct Entry {
        let range: DMARange
        /// nil: memory that is only reached by messages, such as a ROM, in which no driver has its buffers.
        let file: SharedDescriptor?
    }
    /// By ascending address.
    private var entries: [Entry] = []

    /// - Throws: EEXIST when a byte of it is mapped already, ENOSPC for too many ranges.
    func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws(Errno) {
        guard entries.count < Self.maximumRanges else { throw .ENOSPC }
        let index = entries.firstIndex { $0.range.address >= range.address } ?? entries.count
        // No overflow: the session has refused ranges that wrap.
        if index < entries.count, range.address + range.size > entries[index].range.address { throw .EEXIST }
        if index > 0, entries[index - 1].range.address + entries[index - 1].range.size > range.address {
            throw .EEXIST
        }
        let shared = if let file { SharedDescriptor(file) } else { SharedDescriptor?.none }
        entries.insert(Entry(range: range, file: shared), at: index)
    }

    /// Takes away the ranges that lie in this one.
    ///
    /// - Throws: ENOENT when there is none, EINVAL when it cuts one in two.
    func unmap(address: UInt64, size: UInt64) throws(Errno) {
        let (end, overflow) = address.addingReportingOverflow(size)
        guard !overflow else { throw .EINVAL }
        let touched = entries.indices.filter {
            entries[$0].range.address < end && entries[$0].range.address + entries[$0].range.size > address
        }
        guard let first = touched.first, let last = touched.last else { throw .ENOENT }
        guard entries[first].range.address >= address,
            entries[last].range.address + entries[last].range.size <= end
        else { throw .EINVAL }
        entries.removeSubrange(first...last)
    }

    func unmapAll() { entries = [] }

    /// What the daemon is told: all memory that it can map, at addresses that are the guest's own on both sides.
    var regions: [(region: RegionDescription, file: SharedDescriptor)] {
        entries.compactMap { entry in
            guard let file = entry.file, entry.range.isReadable, entry.range.isWritable else { return nil }
            let region = RegionDescription(
                guestAddress: entry.range.address, size: entry.range.size, userAddress: entry.range.address,
                fileOffset: entry.range.fileOffset)
            return (region, file)
        }
    }

    /// Whether `count` bytes at `address` lie in one region.
    func holds(_ address: UInt64, _ count: Int) -> Bool {
        entries.contains { entry in
            entry.file != nil && entry.range.address <= address
                && entry.range.size >= UInt64(count)
                && address - entry.range.address <= entry.range.size - UInt64(count)
        }
    }

    /// The same memory, mapped for ourselves.
    ///
    /// - Throws: what mapping a file fails with; EINVAL when one is shorter than the VMM said.
    func mapped() throws(Errno) -> GuestMemory {
        var all: [MemoryRegion] = []
        for (region, file) in regions {
            all.append(
                try MemoryRegion(
                    adopting: try file.duplicate(), guestAddress: GuestAddress(region.guestAddress),
                    byteCount: region.size, userAddress: region.userAddress, mmapOffset: region.fileOffset))
        }
        return try GuestMemory(regions: all)
    }
}
