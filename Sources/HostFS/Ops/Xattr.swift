// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

// Extended attributes, of objects of every type: through /proc/self/fd, so that nothing is opened. The host's kernel
// knows which names which types may have, and the limits: names of 255 bytes, values and lists of 64 KiB.
extension HostFS {
    private static let listMaximum = 65536  // XATTR_LIST_MAX

    package func setxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ arguments: SetXattrIn
    ) throws(Errno) {
        try requireAttribute(name)
        try requireWritable()
        let object = try descriptor(of: nodeID)
        enterDaemon()
        let (path, flags) = unsafe (processName(of: object), Int32(bitPattern: arguments.flags))
        if unsafe hasTranslatedIDs(name.cString) {
            try unsafe setAccessControlList(path, name.cString, to: value, flags: flags)
        } else {
            try unsafe setAttribute(path, name.cString, to: value, flags: flags)
        }
        if arguments.setxattrFlags & SetXattrIn.aclKillSgid != 0 { try clearSetGroupID(object) }
    }

    package func getxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        try requireAttribute(name)
        let object = try descriptor(of: nodeID)
        enterDaemon()
        let path = unsafe processName(of: object)
        let nothing = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        guard !sizeOnly, size > 0 else { return try unsafe getAttribute(path, name.cString, into: nothing) }
        let before = reply.count
        try unsafe reply.appendInPlace { free throws(Errno) in
            // An empty buffer would ask for the size, and an empty value fits into none.
            guard free.count > 0 else { throw .ERANGE }
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: free.prefix(size))
            let count = try unsafe getAttribute(path, name.cString, into: room)
            if unsafe hasTranslatedIDs(name.cString) {
                let list = unsafe UnsafeMutableRawBufferPointer(rebasing: room.prefix(count))
                unsafe translateToGuest(AccessControlList(list))
            }
            return count
        }
        return reply.count - before
    }

    /// Names of trusted.* are shown to a caller that is known to be root: the host shows them to us, and the guest's kernel
    /// would to everybody. With FUSE_ALLOW_IDMAP it does not say who asks (uid −1), so nobody sees them.
    package func listxattr(
        _ caller: Caller, nodeID: NodeID, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        guard options.xattr else { throw .ENOSYS }
        let object = try descriptor(of: nodeID)
        enterDaemon()
        let path = unsafe processName(of: object)
        let (wanted, isRoot) = (sizeOnly ? nil : size, caller.uid == 0)
        let count = try unsafe appendList(path, wanted, room: 1024, forRoot: isRoot, into: &reply)
        if let count { return count }
        guard
            let count = try unsafe appendList(
                path, wanted, room: Self.listMaximum, forRoot: isRoot, into: &reply)
        else { throw .ERANGE }
        return count
    }

    package func removexattr(_ caller: Caller, nodeID: NodeID, name: Text) throws(Errno) {
        try requireAttribute(name)
        try requireWritable()
        let object = try descriptor(of: nodeID)
        enterDaemon()
        try unsafe removeAttribute(processName(of: object), name.cString)
    }

    /// Lists into private memory, because what is hidden counts neither for the size nor for ERANGE; nil if the host's
    /// list does not fit `room`. Up to 1 KiB is taken from the stack.
    private func appendList(
        _ path: UnsafePointer<CChar>, _ size: Int?, room: Int, forRoot: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int? {
        // The standard library's own form of this rethrows without a type.
        let outcome = unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: 1) {
            names -> Result<Int?, Errno> in
            do throws(Errno) {
                let all = try unsafe listAttributes(path, into: names)
                let shown = unsafe filter(
                    UnsafeMutableRawBufferPointer(rebasing: names.prefix(all)), forRoot: forRoot)
                if let size {
                    guard shown <= size,
                        unsafe reply.append(UnsafeRawBufferPointer(rebasing: names.prefix(shown)))
                    else { return .failure(.ERANGE) }
                }
                return .success(shown)
            } catch {
                return error == .ERANGE ? .success(nil) : .failure(error)
            }
        }
        return try outcome.get()
    }

    /// ENOSYS, by which the guest stops asking, when the share has no xattrs. Without POSIX ACLs agreed on, theirs do not
    /// exist: a guest that does not enforce them must not see or set them.
    private func requireAttribute(_ name: Text) throws(Errno) {
        guard options.xattr else { throw .ENOSYS }
        if !isNegotiated(InitFlags.posixACL), unsafe isACL(name.cString) { throw .EOPNOTSUPP }
    }

    func isACL(_ name: UnsafePointer<CChar>) -> Bool {
        unsafe strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0
    }

    private func isTrusted(_ name: UnsafePointer<CChar>) -> Bool { unsafe strncmp(name, "trusted.", 8) == 0 }

    /// Takes the names out of a list that the caller must not see: those of ACLs, unless they are agreed on, and of trusted
    /// attributes, unless it is root. Returns its new length.
    private func filter(_ names: UnsafeMutableRawBufferPointer, forRoot: Bool) -> Int {
        let showsACLs = isNegotiated(InitFlags.posixACL)
        guard let base = unsafe names.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
        var (read, kept) = (0, 0)
        while read < names.count {
            // SAFETY: the kernel ends each name with a NUL inside the list.
            let length = unsafe strnlen(base + read, names.count - read) + 1
            if unsafe (showsACLs || !isACL(base + read)) && (forRoot || !isTrusted(base + read)) {
                unsafe memmove(base + kept, base + read, length)
                kept += length
            }
            read += length
        }
        return kept
    }

    /// The guest's caller is not in the file's group: its new ACL must not keep a set-group-id bit for it.
    private func clearSetGroupID(_ object: Int32) throws(Errno) {
        let mode = UInt32(try FileStatus(of: object).raw.stx_mode)
        guard mode & 0o2000 != 0 else { return }
        try unsafe setMode(processName(of: object), to: mode & 0o5777)
    }
}
