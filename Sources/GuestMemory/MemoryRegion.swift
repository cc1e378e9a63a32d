// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// One piece of guest memory, mapped: an entry of the vhost-user memory table.
///
/// Unmapped when the last snapshot, chain or area owner lets go of it. If the VMM shrinks the file later, an access
/// ends the process with SIGBUS; the VMM is trusted not to. A region that shows a file of somebody else's, as the pieces of a DAX
/// window do, `mayShrink`: it is only touched by system calls, which say EFAULT.
@safe public final class MemoryRegion: Sendable {
    /// Where the guest sees the region.
    public let guestAddress: GuestAddress
    /// Length in bytes, not zero.
    public let byteCount: Int
    /// Where the VMM sees the region in its own address space.
    public let userAddress: UInt64
    /// Where the region begins in its file, in bytes.
    public let mmapOffset: UInt64

    /// Bytes may go at any time.
    public let mayShrink: Bool

    private let mapping: Mapping
    /// Bytes of the mapping before the region.
    private let lead: Int

    /// Maps a region from the file that came with it, and closes the file: the mapping keeps it open.
    ///
    /// - Throws: EINVAL for an empty region, one that wraps around an address space, or a file that does not reach to
    ///   its end; what fstat, fstatfs, mmap (EACCES: not opened for writing; ENOMEM) or madvise fail with.
    public init(
        adopting file: consuming OwnedDescriptor, guestAddress: GuestAddress, byteCount: UInt64,
        userAddress: UInt64, mmapOffset: UInt64, mayShrink: Bool = false
    ) throws(Errno) {
        let number = file.rawValue
        guard
            byteCount > 0, let length = Int(exactly: byteCount), let offset = Int(exactly: mmapOffset),
            !guestAddress.rawValue.addingReportingOverflow(byteCount).overflow,
            !userAddress.addingReportingOverflow(byteCount).overflow
        else { throw .EINVAL }
        let (end, overflow) = offset.addingReportingOverflow(length)
        var status = stat()
        _ = try systemCall { unsafe fstat(number, &status) }
        // A mapping beyond the end of its file is SIGBUS at the first access.
        guard !overflow, end <= status.st_size else { throw .EINVAL }

        // The VMM's offset need not be aligned to what mmap wants (a page; a huge page on hugetlbfs, whose munmap also
        // wants whole huge pages), so map from the boundary before it.
        let page = try pageByteCount(of: number)
        let start = offset - offset % page
        let (rounded, tooLong) = (end - start).addingReportingOverflow(page - 1)
        guard !tooLong else { throw .EINVAL }
        mapping = try Mapping(sharing: number, offset: start, byteCount: rounded - rounded % page)
        lead = offset - start
        let (base, mapped) = unsafe (mapping.base, mapping.byteCount)
        // Guest memory belongs neither into our children nor into our core dumps.
        _ = try systemCall { unsafe madvise(base, mapped, MADV_DONTFORK) }
        _ = try systemCall { unsafe madvise(base, mapped, MADV_DONTDUMP) }

        self.guestAddress = guestAddress
        self.byteCount = length
        self.userAddress = userAddress
        self.mmapOffset = mmapOffset
        self.mayShrink = mayShrink
    }

    /// Our address of the region's first byte.
    var hostBase: UnsafeMutableRawPointer { unsafe mapping.base + lead }
}

/// The unit in which the file behind `descriptor` can be mapped.
private func pageByteCount(of descriptor: Int32) throws(Errno) -> Int {
    var system = statfs()
    _ = try systemCall { unsafe fstatfs(descriptor, &system) }
    let hugetlbfsMagic = 0x9584_58f6  // HUGETLBFS_MAGIC of <linux/magic.h>
    return Int(system.f_type) == hugetlbfsMagic
        ? max(Int(system.f_bsize), 4096) : Int(sysconf(Int32(_SC_PAGESIZE)))
}
