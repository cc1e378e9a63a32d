// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// Why a guest address range cannot be used.
public enum MemoryFault: Error {
    /// Some byte of the range lies in no region.
    case outsideMemory
    /// The list of host pieces is full.
    case tooManyVectors
    /// The file behind some byte has been cut short.
    case gone
}

/// The guest's memory at one moment: an immutable, sorted table of regions that never overlap.
///
/// When the VMM changes its table, a new snapshot takes the old one's place; whoever still uses the old one keeps
/// its regions mapped. Any thread may use a snapshot; lookups take no lock and allocate nothing.
@safe public final class GuestMemory: @unchecked Sendable {
    // SAFETY: @unchecked because of `extents`, which is written in init only.

    /// The most regions a table holds; the answer to VHOST_USER_GET_MAX_MEM_SLOTS. The kernel's vhost has the same
    /// limit, so every VMM copes with it.
    public static let maximumRegions = 509

    /// The regions by ascending guest address.
    public let regions: [MemoryRegion]

    /// What a lookup needs of `regions`, flat, so that it touches no reference count.
    @safe private struct Extent {
        let start: UInt64
        let end: UInt64
        let host: UnsafeMutableRawPointer
        let mayShrink: Bool
    }
    private let extents: UnsafeMutablePointer<Extent>

    /// A snapshot of `regions`, given in any order.
    /// - Throws: ENOSPC for more than `maximumRegions`, EEXIST when two overlap in guest addresses.
    public init(regions: [MemoryRegion] = []) throws(Errno) {
        guard regions.count <= Self.maximumRegions else { throw .ENOSPC }
        let sorted = regions.sorted { $0.guestAddress < $1.guestAddress }
        for (region, next) in zip(sorted, sorted.dropFirst()) {
            // No overflow: the region's init refused ranges that wrap.
            let end = region.guestAddress.rawValue + UInt64(region.byteCount)
            guard end <= next.guestAddress.rawValue else { throw .EEXIST }
        }
        self.regions = sorted
        unsafe extents = .allocate(capacity: sorted.count)
        for (index, region) in sorted.enumerated() {
            let start = region.guestAddress.rawValue
            unsafe (extents + index).initialize(
                to: Extent(
                    start: start, end: start + UInt64(region.byteCount), host: region.hostBase,
                    mayShrink: region.mayShrink))
        }
    }

    deinit { unsafe extents.deallocate() }

    /// A snapshot with `region` too (VHOST_USER_ADD_MEM_REG).
    /// - Throws: ENOSPC when the table is full, EEXIST when it overlaps another region in guest addresses.
    public func adding(_ region: MemoryRegion) throws(Errno) -> GuestMemory {
        try GuestMemory(regions: regions + [region])
    }

    /// A snapshot without the region that has exactly this place (VHOST_USER_REM_MEM_REG, whose offset is not
    /// compared).
    /// - Throws: ENOENT when there is none.
    public func removing(
        guestAddress: GuestAddress, byteCount: UInt64, userAddress: UInt64
    ) throws(Errno) -> GuestMemory {
        let index = regions.firstIndex {
            $0.guestAddress == guestAddress && UInt64($0.byteCount) == byteCount
                && $0.userAddress == userAddress
        }
        guard let index else { throw .ENOENT }
        var rest = regions
        rest.remove(at: index)
        return try GuestMemory(regions: rest)
    }

    // MARK: Guest addresses

    /// Appends the host memory behind `byteCount` bytes at `address` to `list`, in several pieces where the range
    /// crosses from one region into the next.
    ///
    /// The pieces stay valid as long as this snapshot lives. After an error, `list` may hold some of the pieces.
    /// - Complexity: O(log regions), no allocation.
    public func append(
        _ address: GuestAddress, byteCount: Int, to list: IOVectorList
    ) throws(MemoryFault) {
        try unsafe forEachPiece(of: address, byteCount: byteCount) {
            piece, _, length, mayShrink throws(MemoryFault) in
            guard unsafe list.append(piece, byteCount: length) else { throw .tooManyVectors }
            if mayShrink { list.noteMayShrink() }
        }
    }

    /// Copies `buffer.count` bytes at `address` into `buffer`. After an error some of it may have been written.
    public func copy(from address: GuestAddress, into buffer: UnsafeMutableRawBufferPointer)
        throws(MemoryFault)
    {
        guard let target = buffer.baseAddress else { return }
        try unsafe forEachPiece(of: address, byteCount: buffer.count) {
            piece, done, length, mayShrink throws(MemoryFault) in
            if !mayShrink { return unsafe vfs_copy(target + done, piece, length) }
            let part = unsafe UnsafeMutableRawBufferPointer(start: target + done, count: length)
            do throws(Errno) { try unsafe readOwnMemory(piece, into: part) } catch { throw .gone }
        }
    }

    /// Copies `bytes` to `address`. After an error some of them may have been written.
    public func copy(_ bytes: UnsafeRawBufferPointer, to address: GuestAddress) throws(MemoryFault) {
        guard let source = bytes.baseAddress else { return }
        try unsafe forEachPiece(of: address, byteCount: bytes.count) {
            piece, done, length, mayShrink throws(MemoryFault) in
            if !mayShrink { return unsafe vfs_copy(piece, source + done, length) }
            let part = unsafe UnsafeRawBufferPointer(start: source + done, count: length)
            do throws(Errno) { try unsafe writeOwnMemory(piece, part) } catch { throw .gone }
        }
    }

    /// The `byteCount` bytes at a guest address, which must lie in one region and be aligned to `alignment`.
    ///
    /// The area is valid as long as this snapshot lives.
    /// - Throws: EFAULT when they do not lie in one region whose bytes stay, EINVAL when they are empty or misaligned.
    public func area(at address: GuestAddress, byteCount: Int, alignment: Int) throws(Errno) -> SharedArea {
        guard let index = extentIndex(of: address.rawValue) else { throw .EFAULT }
        return try regions[index].area(
            at: address.rawValue - regions[index].guestAddress.rawValue, byteCount: byteCount,
            alignment: alignment)
    }

    /// The whole region around `address`, so that what lies near is translated without a lookup; `none` outside of memory, and
    /// where the memory may go. Valid as long as this snapshot lives.
    public func stretch(around address: GuestAddress) -> MemoryStretch {
        guard let index = extentIndex(of: address.rawValue) else { return .none }
        let extent = unsafe extents[index]
        if extent.mayShrink { return .none }
        return unsafe MemoryStretch(
            start: extent.start, byteCount: extent.end - extent.start, base: extent.host)
    }

    // MARK: User addresses

    /// The `byteCount` bytes at an address of the VMM's own, which is how vhost-user names rings. Otherwise like
    /// `area(at:byteCount:alignment:)`.
    public func area(atUser address: UInt64, byteCount: Int, alignment: Int) throws(Errno) -> SharedArea {
        // Only when a ring is set up, so a linear search is good enough.
        let region = regions.first {
            address >= $0.userAddress && address - $0.userAddress < UInt64($0.byteCount)
        }
        guard let region else { throw .EFAULT }
        return try region.area(at: address - region.userAddress, byteCount: byteCount, alignment: alignment)
    }

    // MARK: Lookup

    /// Calls `body` with each contiguous piece of the range: its memory, the bytes seen before it, its length, and whether the
    /// memory may go.
    private func forEachPiece(
        of address: GuestAddress, byteCount: Int,
        _ body: (UnsafeMutableRawPointer, Int, Int, Bool) throws(MemoryFault) -> Void
    ) throws(MemoryFault) {
        guard byteCount > 0 else {
            if byteCount == 0 { return }
            throw .outsideMemory
        }
        guard var index = extentIndex(of: address.rawValue) else { throw .outsideMemory }
        var position = address.rawValue
        var done = 0
        while true {
            let extent = unsafe extents[index]
            // Fits: at most the region's length, which is an Int; position lies inside [start, end).
            let (offset, available) = (Int(position - extent.start), Int(extent.end - position))
            let length = min(byteCount - done, available)
            try unsafe body(extent.host + offset, done, length, extent.mayShrink)
            done += length
            if done == byteCount { return }
            index += 1
            position = extent.end
            guard index < regions.count, unsafe extents[index].start == position else { throw .outsideMemory }
        }
    }

    /// Which region holds the byte at `address`.
    private func extentIndex(of address: UInt64) -> Int? {
        var (low, high) = (0, regions.count)
        while low < high {
            let middle = (low + high) / 2
            if unsafe address >= extents[middle].end { low = middle + 1 } else { high = middle }
        }
        guard low < regions.count, unsafe address >= extents[low].start else { return nil }
        return low
    }
}

extension MemoryRegion {
    /// The `count` bytes from `offset`. EFAULT when they do not all lie in the region, EINVAL when empty or misaligned.
    fileprivate func area(at offset: UInt64, byteCount count: Int, alignment: Int) throws(Errno) -> SharedArea
    {
        guard count > 0 else { throw .EINVAL }
        guard !mayShrink else { throw .EFAULT }
        guard let start = Int(exactly: offset), start <= byteCount, count <= byteCount - start else {
            throw .EFAULT
        }
        let address = unsafe hostBase + start
        guard UInt(bitPattern: address) % UInt(alignment) == 0 else { throw .EINVAL }
        return unsafe SharedArea(base: address, byteCount: count)
    }
}
