// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import HostOS

// IOCTL: the four commands of chattr(1), lsattr(1) and project ids. No other ever reaches the host's kernel, whose drivers
// take commands that nobody has thought of.
extension HostFS {
    package func ioctl(
        _ caller: Caller, nodeID: NodeID, _ arguments: IoctlIn, input: UnsafeRawBufferPointer,
        into reply: inout ReplyBuffer
    ) throws(Errno) -> Int32 {
        let record = try hold(arguments.handle, of: nodeID, kind: nil)
        enterDaemon()
        switch UInt(arguments.command) {
        case VFS_FS_IOC_GETFLAGS:
            try answer(try inodeFlags(of: record.descriptor), arguments, into: &reply)
        case VFS_FS_IOC_SETFLAGS:
            try requireWritable()
            try setInodeFlags(of: record.descriptor, to: try unsafe argument(input))
        case VFS_FS_IOC_FSGETXATTR:
            try answer(try extendedFlags(of: record.descriptor), arguments, into: &reply)
        case VFS_FS_IOC_FSSETXATTR:
            try requireWritable()
            try setExtendedFlags(of: record.descriptor, to: try unsafe argument(input))
        default:
            throw .ENOTTY
        }
        return 0
    }

    /// What the guest passed in, which must be exactly as long as the command says: four bytes for the flags, although
    /// their commands say long.
    private func argument<T: BitwiseCopyable>(_ input: UnsafeRawBufferPointer) throws(Errno) -> T {
        guard input.count == MemoryLayout<T>.size else { throw .EINVAL }
        return unsafe input.loadUnaligned(as: T.self)
    }

    private func answer<T: BitwiseCopyable>(
        _ value: T, _ arguments: IoctlIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        guard arguments.outSize == MemoryLayout<T>.size, reply.append(value) else { throw .EINVAL }
    }
}
