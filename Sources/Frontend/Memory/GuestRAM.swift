// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser

/// The memory of a guest that we play: one memory file, which the back-end maps too and cannot shrink.
///
/// The guest sees it as one range of addresses; towards the back-end that range may be cut into several regions, which lie
/// in the file in the opposite order, so that neighbours in the guest are never neighbours in the host.
package final class GuestRAM: Sendable {
    /// Our own view, by guest address.
    package let memory: GuestMemory
    /// What the back-end is told, by ascending guest address; all of `file`.
    package let regions: [RegionDescription]
    private let descriptor: OwnedDescriptor

    /// The memory file's descriptor, valid as long as this object lives.
    package var file: Int32 { descriptor.rawValue }

    /// - Parameters:
    ///   - regionByteCount: how large each region is (the last may be smaller); nil for one region.
    ///   - guestBase: the guest address of the first byte.
    ///   - userBase: what stands for our own virtual address of the first byte, in which rings are named.
    /// - Throws: what creating or mapping the file fails with; ENOSPC for too many regions.
    package init(
        byteCount: Int, regionByteCount: Int? = nil, guestBase: UInt64 = 0,
        userBase: UInt64 = 0x7000_0000_0000
    ) throws(Errno) {
        descriptor = try makeSealedMemoryFile(name: "guest-ram", byteCount: byteCount)
        let step = regionByteCount ?? byteCount
        var regions: [RegionDescription] = []
        var mapped: [MemoryRegion] = []
        for start in stride(from: 0, to: byteCount, by: step) {
            let size = min(step, byteCount - start)
            let region = RegionDescription(
                guestAddress: guestBase + UInt64(start), size: UInt64(size),
                userAddress: userBase + UInt64(start),
                fileOffset: UInt64(byteCount - start - size))
            regions.append(region)
            mapped.append(
                try MemoryRegion(
                    adopting: try descriptor.duplicate(), guestAddress: GuestAddress(region.guestAddress),
                    byteCount: region.size, userAddress: region.userAddress, mmapOffset: region.fileOffset))
        }
        self.regions = regions
        memory = try GuestMemory(regions: mapped)
    }

    /// How a guest address that lies in this memory is named as one of our own.
    package func userAddress(of address: GuestAddress) -> UInt64 {
        address.rawValue &- regions[0].guestAddress &+ regions[0].userAddress
    }

    /// Writes `bytes` at `address`. EFAULT when they do not fit there.
    package func write(_ bytes: Span<UInt8>, at address: GuestAddress) throws(Errno) {
        do throws(MemoryFault) {
            try unsafe bytes.withUnsafeBytes { (source) throws(MemoryFault) in
                try unsafe memory.copy(source, to: address)
            }
        } catch {
            throw .EFAULT
        }
    }

    /// The `count` bytes at `address`. EFAULT when they are not there.
    package func read(_ count: Int, at address: GuestAddress) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        do throws(MemoryFault) {
            var span = bytes.mutableSpan
            try unsafe span.withUnsafeMutableBytes { (target) throws(MemoryFault) in
                try unsafe memory.copy(from: address, into: target)
            }
        } catch {
            throw .EFAULT
        }
        return bytes
    }
}

/// Deals out guest memory from the bottom up while a front-end is set up; nothing comes back.
struct GuestAllocator {
    private var next: UInt64
    /// Pieces may cross region borders unless asked not to; 0 when there are none.
    private let regionByteCount: UInt64
    private let base: UInt64

    init(base: UInt64, regionByteCount: Int?) {
        next = base
        self.base = base
        self.regionByteCount = UInt64(regionByteCount ?? 0)
    }

    /// How many bytes from `base` on are dealt out.
    var byteCount: Int { Int(next - base) }

    /// - Parameter contiguous: all in one region, which must be large enough.
    mutating func take(_ count: Int, alignment: UInt64 = 16, contiguous: Bool = false) -> GuestAddress {
        next = (next + alignment - 1) / alignment * alignment
        if contiguous, regionByteCount > 0 {
            let room = regionByteCount - (next - base) % regionByteCount
            if room < UInt64(count) { next += room }
        }
        defer { next += UInt64(count) }
        return GuestAddress(next)
    }
}
