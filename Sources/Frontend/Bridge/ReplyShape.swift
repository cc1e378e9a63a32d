// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// What the kernel takes as the reply to one request that it sent through /dev/fuse: it refuses any other length.
enum ReplyShape: Equatable, Sendable {
    /// No reply, not even an error.
    case none
    /// The header and exactly this many bytes.
    case fixed(Int)
    /// The header and at most this many bytes.
    case variable(Int)
    /// No back-end is asked; the kernel is told this error.
    case refused(Errno)

    /// The most bytes that a back-end may write behind the header.
    var room: Int {
        switch self {
        case .none, .refused: 0
        case .fixed(let count), .variable(let count): count
        }
    }

    /// - Parameters:
    ///   - arguments: what follows the request's header, at least as much of it as its fixed arguments.
    ///   - limit: the longest variable reply there is memory for; a request for more is EIO.
    init(opcode: UInt32, arguments: UnsafeRawBufferPointer, limit: Int) {
        guard let opcode = Opcode(rawValue: opcode) else {
            self = .refused(.ENOSYS)
            return
        }
        switch opcode {
        case .forget, .batchForget, .interrupt, .notifyReply:
            self = .none
        case .lookup, .symlink, .mknod, .mkdir, .link:
            self = .fixed(MemoryLayout<EntryOut>.size)
        case .getattr, .setattr:
            self = .fixed(MemoryLayout<AttrOut>.size)
        case .open, .opendir:
            self = .fixed(MemoryLayout<OpenOut>.size)
        case .create, .tmpfile:
            self = .fixed(MemoryLayout<CreateOut>.size)
        case .write, .copyFileRange:
            self = .fixed(MemoryLayout<WriteOut>.size)
        case .copyFileRange64, .lseek, .bmap, .poll:
            self = .fixed(8)
        case .statfs:
            self = .fixed(MemoryLayout<StatFSOut>.size)
        case .getlk:
            self = .fixed(MemoryLayout<LockOut>.size)
        case .statx:
            self = .fixed(MemoryLayout<StatxOut>.size)
        case .unlink, .rmdir, .rename, .rename2, .release, .releasedir, .fsync, .fsyncdir, .setxattr,
            .removexattr, .flush, .setlk, .setlkw, .access, .destroy, .fallocate, .syncfs:
            self = .fixed(0)
        case .readlink:
            self = .variable(RequestReader.maximumTargetByteCount)
        case .read, .readdir, .readdirplus:
            self = Self.variable(unsafe Self.load(ReadIn.self, from: arguments)?.size, limit)
        case .getxattr, .listxattr:
            let size = unsafe Self.load(GetXattrIn.self, from: arguments)?.size
            self = size == 0 ? .fixed(MemoryLayout<GetXattrOut>.size) : Self.variable(size, limit)
        case .ioctl:
            let size = unsafe Self.load(IoctlIn.self, from: arguments)?.outSize
            self = Self.variable(size, limit, after: MemoryLayout<IoctlOut>.size)
        case .initialize, .setupMapping, .removeMapping:
            // INIT is answered before anything else is; a window for DAX is nothing that /dev/fuse has.
            self = .refused(.ENOSYS)
        }
    }

    private static func variable(_ size: UInt32?, _ limit: Int, after fixed: Int = 0) -> ReplyShape {
        guard let size, Int(size) <= limit - fixed else { return .refused(.EIO) }
        return .variable(fixed + Int(size))
    }

    private static func load<T: BitwiseCopyable>(_: T.Type, from bytes: UnsafeRawBufferPointer) -> T? {
        guard bytes.count >= MemoryLayout<T>.size else { return nil }
        return unsafe bytes.loadUnaligned(as: T.self)
    }
}
