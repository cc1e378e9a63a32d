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
    static let listMaximum = 65536  // XATTR_LIST_MAX

    package func setxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ arguments: SetXattrIn
    ) throws(Errno) {
        let host = try unsafe hostName(of: name, for: .set)
        try requireWritable()
        let object = try descriptor(of: nodeID)
        enterDaemon()
        let (path, flags) = unsafe (processName(of: object), Int32(bitPattern: arguments.flags))
        if unsafe hasTranslatedIDs(name.cString) {
            try unsafe setAccessControlList(path, host, to: value, flags: flags)
        } else {
            try unsafe setAttribute(path, host, to: value, flags: flags)
        }
        if arguments.setxattrFlags & SetXattrIn.aclKillSgid != 0 { try clearSetGroupID(object) }
    }

    package func getxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        let host = try unsafe hostName(of: name, for: .get)
        let object = try descriptor(of: nodeID)
        enterDaemon()
        let path = unsafe processName(of: object)
        let nothing = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        guard !sizeOnly, size > 0 else { return try unsafe getAttribute(path, host, into: nothing) }
        let before = reply.count
        try unsafe reply.appendInPlace { free throws(Errno) in
            // An empty buffer would ask for the size, and an empty value fits into none.
            guard free.count > 0 else { throw .ERANGE }
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: free.prefix(size))
            let count = try unsafe getAttribute(path, host, into: room)
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
        let host = try unsafe hostName(of: name, for: .remove)
        try requireWritable()
        let object = try descriptor(of: nodeID)
        enterDaemon()
        try unsafe removeAttribute(processName(of: object), host)
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
                let shown = unsafe makeGuestList(
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

    /// The guest's caller is not in the file's group: its new ACL must not keep a set-group-id bit for it.
    private func clearSetGroupID(_ object: Int32) throws(Errno) {
        let mode = UInt32(try FileStatus(of: object).raw.stx_mode)
        guard mode & 0o2000 != 0 else { return }
        try unsafe setMode(processName(of: object), to: mode & 0o5777)
    }
}
