// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS
import StateArena
import Synchronization

/// One open descriptor for each mount on which the guest knows objects by file handle.
///
/// open_by_handle_at(2) wants a real descriptor of the file system, and while one is open the mount's id is not given
/// to another. The descriptor goes with the last object, so that the host can unmount what the guest has forgotten.
@safe final class MountTable: @unchecked Sendable {
    private let records: UnsafeMutableBufferPointer<vfs_mount>
    /// How many records were ever used; guards them all.
    private let used = Mutex(0)

    init(_ records: UnsafeMutableBufferPointer<vfs_mount>) { unsafe self.records = unsafe records }

    private func index(of id: UInt32, among used: Int) -> Int? {
        (0..<used).first { unsafe records[$0].references > 0 && records[$0].id == id }
    }

    /// One more object on a mount that is in the table.
    func retain(_ id: UInt32) -> Bool {
        used.withLock { used in
            guard let index = index(of: id, among: used) else { return false }
            unsafe records[index].references += 1
            return true
        }
    }

    /// Adds a mount with its first object, or one more object if it was added meanwhile; false when the table is full.
    func add(_ id: UInt32, _ descriptor: consuming OwnedDescriptor) -> Bool {
        let number = descriptor.release()
        let (added, needed) = used.withLock { used -> (Bool, Bool) in
            if let index = index(of: id, among: used) {
                unsafe records[index].references += 1
                return (true, false)
            }
            let free = (0..<used).first { unsafe records[$0].references == 0 } ?? used
            guard unsafe free < records.count else { return (false, false) }
            unsafe records[free].id = id
            unsafe records[free].descriptor = number
            unsafe records[free].references = 1
            used = max(used, free + 1)
            return (true, true)
        }
        if !needed { _ = OwnedDescriptor(adopting: number) }
        return added
    }

    /// One object less; the last one closes the mount's descriptor.
    func release(_ id: UInt32) {
        let number = used.withLock { used -> Int32? in
            guard let index = index(of: id, among: used) else { return nil }
            unsafe records[index].references -= 1
            return unsafe records[index].references == 0 ? records[index].descriptor : nil
        }
        if let number { _ = OwnedDescriptor(adopting: number) }
    }

    /// The descriptor of a mount, valid as long as the caller holds an object on it.
    func descriptor(of id: UInt32) -> Int32? {
        used.withLock { used in
            guard let index = index(of: id, among: used) else { return nil }
            return unsafe records[index].descriptor
        }
    }
}
