// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

/// Where one worker puts the host's name of an attribute: valid until the next one is asked for.
@safe final class XattrNameBuffer {
    private let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: XattrMap.maximumByteCount + 1, alignment: 1)

    init() {}
    deinit { unsafe bytes.deallocate() }

    var room: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes.dropLast())
    }

    /// The first `count` bytes, with a NUL behind.
    func terminated(_ count: Int) -> UnsafePointer<CChar> {
        unsafe bytes[count] = 0
        // SAFETY: the buffer is not empty, and CChar is a byte.
        return unsafe UnsafePointer(bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self))
    }
}

/// What a guest does with an attribute: a name that it may not use, or that is too long on the host, is answered as if there
/// were nothing by that name where that is possible.
enum XattrUse {
    case get, set, remove
}

extension HostFS {
    /// What the host calls the attribute that the guest calls `name`; valid until the next one is asked for.
    ///
    /// - Throws: ENOSYS, by which the guest stops asking, when the share has no attributes. EOPNOTSUPP for ACLs unless they are
    ///   agreed on, because a guest that does not enforce them must not see or set them. What the map says of the others; a
    ///   name that becomes too long (XATTR_NAME_MAX) is ERANGE when it is set, as the kernel has it.
    func hostName(of name: Text, for use: XattrUse) throws(Errno) -> UnsafePointer<CChar> {
        guard options.xattr else { throw .ENOSYS }
        let host = unsafe try mappedName(of: name, for: use)
        if !isNegotiated(InitFlags.posixACL), unsafe isACL(name.cString) || isACL(host) { throw .EOPNOTSUPP }
        return unsafe host
    }

    /// The same of any name that is no ACL's.
    func mappedName(of name: Text, for use: XattrUse) throws(Errno) -> UnsafePointer<CChar> {
        guard let map = options.xattrMap else { return unsafe name.cString }
        let bytes = unsafe UnsafeRawBufferPointer(start: name.cString, count: name.byteCount)
        switch unsafe map.hostName(of: bytes, into: xattrName.room) {
        case .same: return unsafe name.cString
        case .mapped(let count): return unsafe xattrName.terminated(count)
        case .bad: throw use == .get ? .ENODATA : .EPERM
        case .unsupported: throw .EOPNOTSUPP
        case .tooLong: throw use == .set ? .ERANGE : .ENODATA
        }
    }

    func isACL(_ name: UnsafePointer<CChar>) -> Bool {
        unsafe strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0
    }

    /// Only root may see such attributes, or that they are there.
    private func isTrusted(_ name: UnsafePointer<CChar>) -> Bool { unsafe strncmp(name, "trusted.", 8) == 0 }

    /// Makes of the host's list the guest's, in place: without the names that the caller must not see, which are those of ACLs,
    /// unless they are agreed on, of trusted attributes, unless it is root, and those that the map hides. Returns its length.
    func makeGuestList(_ names: UnsafeMutableRawBufferPointer, forRoot: Bool) -> Int {
        let showsACLs = isNegotiated(InitFlags.posixACL)
        guard let base = unsafe names.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
        var (read, kept) = (0, 0)
        while read < names.count {
            // SAFETY: the kernel ends each name with a NUL inside the list.
            let length = unsafe strnlen(base + read, names.count - read)
            defer { read += length + 1 }
            guard let stripped = unsafe strippedByteCount(base + read, length) else { continue }
            let name = unsafe base + read + stripped
            if unsafe !showsACLs && (isACL(name) || isACL(base + read)) || !forRoot && isTrusted(name) {
                continue
            }
            // A mapped name is never longer than the host's.
            unsafe memmove(base + kept, name, length - stripped + 1)
            kept += length - stripped + 1
        }
        return kept
    }

    private func strippedByteCount(_ name: UnsafePointer<CChar>, _ length: Int) -> Int? {
        guard let map = options.xattrMap else { return 0 }
        return unsafe map.strippedByteCount(of: UnsafeRawBufferPointer(start: name, count: length))
    }
}
