// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS

/// The value of a system.posix_acl_* attribute (posix_acl_xattr.h): a word with the version, then entries of a tag, permissions
/// (16 bits each) and an id (32 bits), all little-endian.
@safe struct AccessControlList {
    private static let version: UInt32 = 2
    private static let namedUser: UInt16 = 0x02
    private static let namedGroup: UInt16 = 0x08
    private static let headByteCount = 4
    private static let entryByteCount = 8

    private let bytes: UnsafeMutableRawBufferPointer

    init(_ bytes: UnsafeMutableRawBufferPointer) { unsafe self.bytes = unsafe bytes }

    /// Replaces the ids of named users and groups. What is no list of this version stays as it is: the host refuses it.
    func replaceIDs(
        users: (UInt32) throws(Errno) -> UInt32, groups: (UInt32) throws(Errno) -> UInt32
    ) throws(Errno) {
        guard unsafe bytes.count >= Self.headByteCount,
            unsafe UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)) == Self.version
        else { return }
        var offset = Self.headByteCount
        while unsafe offset + Self.entryByteCount <= bytes.count {
            let tag = unsafe UInt16(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            let place = offset + 4
            let id = unsafe UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
            let replaced =
                switch tag {
                case Self.namedUser: try users(id)
                case Self.namedGroup: try groups(id)
                default: id
                }
            unsafe bytes.storeBytes(of: replaced.littleEndian, toByteOffset: place, as: UInt32.self)
            offset += Self.entryByteCount
        }
    }
}

// An ACL names users and groups, so where ids are translated those in it are too.
extension HostFS {
    /// Whether the value of the attribute that the guest calls `name` holds ids that differ on the host.
    func hasTranslatedIDs(_ name: UnsafePointer<CChar>) -> Bool {
        unsafe !(users.isIdentity && groups.isIdentity) && isACL(name)
    }

    func translateToGuest(_ list: AccessControlList) {
        // The guest's ids are never refused here, so nothing is thrown.
        try? list.replaceIDs(
            users: { id throws(Errno) in users.guestID(id) },
            groups: { id throws(Errno) in groups.guestID(id) })
    }

    /// Sets an ACL of the guest, whose ids become the host's; EPERM for one that the guest may not use.
    func setAccessControlList(
        _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, to value: UnsafeRawBufferPointer,
        flags: Int32
    ) throws(Errno) {
        // The standard library's own form of this rethrows without a type.
        let outcome = unsafe withUnsafeTemporaryAllocation(byteCount: value.count, alignment: 4) {
            copy -> Result<Void, Errno> in
            do throws(Errno) {
                unsafe copy.copyMemory(from: value)
                try unsafe AccessControlList(copy).replaceIDs(
                    users: { id throws(Errno) in try hostUser(id) },
                    groups: { id throws(Errno) in try hostGroup(id) })
                try unsafe setAttribute(path, name, to: UnsafeRawBufferPointer(copy), flags: flags)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }
}
