// SPDX-License-Identifier: Apache-2.0
import Errors
import GuestMemory
import HostOS
import VhostUser

// Guest memory, as the front-end tells of it.
extension Device {
    package func setMemoryTable(
        _ regions: [RegionDescription], files: consuming ReceivedDescriptors
    ) throws(VhostUserError) {
        do throws(Errno) {
            var mapped: [MemoryRegion] = []
            for region in regions {
                guard let file = files.takeFirst() else { throw .EBADF }
                mapped.append(try map(region, file))
            }
            memory.replace(try GuestMemory(regions: mapped))
        } catch {
            throw .refused(error)
        }
        wakeWorkers()
    }

    package func addMemoryRegion(
        _ region: RegionDescription, file: consuming OwnedDescriptor
    ) throws(VhostUserError) {
        do throws(Errno) {
            let region = try map(region, file)
            memory.replace(try memory.latest.adding(region))
            if region.mayShrink { mappings?.noteAnnouncement() }
        } catch {
            throw .refused(error)
        }
        wakeWorkers()
    }

    package func removeMemoryRegion(_ region: RegionDescription) throws(VhostUserError) {
        do throws(Errno) {
            let remaining = try memory.latest.removing(
                guestAddress: GuestAddress(region.guestAddress), byteCount: region.size,
                userAddress: region.userAddress)
            memory.replace(remaining)
        } catch {
            throw .refused(error)
        }
        wakeWorkers()
    }

    private func map(_ region: RegionDescription, _ file: consuming OwnedDescriptor) throws(Errno)
        -> MemoryRegion
    {
        // A piece of a DAX window: ours, or of another device of the same VM, whose daemon shows files of a FUSE mount.
        let isOurs = mappings?.shows(file.rawValue) ?? false
        let mayShrink = isOurs ? true : try isOnFUSE(file.rawValue)
        return try MemoryRegion(
            adopting: file, guestAddress: GuestAddress(region.guestAddress), byteCount: region.size,
            userAddress: region.userAddress, mmapOffset: region.fileOffset, mayShrink: mayShrink)
    }

    /// Workers that sleep would keep the old table mapped until their next request.
    func wakeWorkers() {
        for worker in workers { worker.wake.signal() }
    }
}
