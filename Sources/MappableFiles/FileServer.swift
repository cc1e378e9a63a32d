// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import Glibc
import HostOS

/// The file system of files that have the data of others and no end: answers the kernel's requests.
///
/// A file is found by its number and opened once. Its reads, writes and mappings are then the kernel's business and those of the
/// backing file; what else can be asked for is the size, which never changes.
struct FileServer {
    enum Turn {
        case served, idle
        /// Nobody has the mount any more.
        case ended
    }

    /// The size of every file: no mapping gets there, and an offset just behind it is still a positive off_t.
    static let size: UInt64 = 1 << 62

    private let device: Int32
    private var request = [UInt8](repeating: 0, count: 16384)
    private var pending = PendingFiles()
    /// What INIT offered; nil before it came.
    private(set) var offered: UInt64?

    init(device: Int32) { self.device = device }

    /// How long may pass before `giveBack` has something to do; −1: for ever.
    var timeoutMilliseconds: Int32 { pending.isEmpty ? -1 : PendingFiles.milliseconds / 2 }

    // MARK: For the daemon

    /// Lets `file` be opened under the number that is returned.
    mutating func admit(_ file: Int32) throws(Errno) -> UInt64 {
        try Self.checkWritable(file)
        let number = pending.add(try openBacking(file))
        giveBack()
        return number
    }

    /// The kernel opens a file again with the rights of this process, and makes everybody wait who opens it: nobody gets that for a file
    /// that he may not write.
    static func checkWritable(_ file: Int32) throws(Errno) {
        let flags = try systemCall { vfs_fcntl_int(file, F_GETFL, 0) }
        guard flags & (O_ACCMODE | O_PATH | O_APPEND) == O_RDWR else { throw .EACCES }
        let status = try FileStatus(of: file, flags: unsynchronized)
        guard status.type == FileType.regular else { throw .EINVAL }
    }

    /// Whether the kernel takes `file` as one that stands behind others.
    func tryBacking(_ file: Int32) throws(Errno) { closeBacking(try openBacking(file)) }

    /// Takes back what nobody came to open.
    mutating func giveBack() {
        while let backing = pending.takeAbandoned() { closeBacking(backing) }
    }

    private func openBacking(_ file: Int32) throws(Errno) -> UInt32 {
        let device = device
        return UInt32(bitPattern: try systemCall { vfs_fuse_backing_open(device, file) })
    }

    private func closeBacking(_ number: UInt32) { _ = vfs_fuse_backing_close(device, number) }

    /// AT_STATX_DONT_SYNC: a server of a network file system is not waited for.
    static let unsynchronized: Int32 = 0x4000

    // MARK: For the kernel

    /// Reads one request and answers it.
    mutating func serveNext() -> Turn {
        let device = device
        let count: Int
        do throws(Errno) {
            count = try systemCall { unsafe read(device, &request, request.count) }
        } catch {
            switch error {
            case .EAGAIN: return .idle
            case .ENOENT: return .served  // it was interrupted before we took it
            default: return .ended
            }
        }
        guard let header = part(InHeader(), at: 0, of: count) else { return .ended }
        answer(header, count)
        return .served
    }

    private mutating func answer(_ header: InHeader, _ count: Int) {
        switch Opcode(rawValue: header.opcode) {
        case .initialize: initialize(header, count)
        case .lookup: lookUp(header, count)
        case .getattr:
            var body = AttrOut()
            body.attrValid = Self.longTime
            body.attributes = Self.attributes(header.nodeID)
            reply(header, body)
        // For whoever wants to know what kind of file system it is: fstatfs(2) asks.
        case .statfs:
            var body = StatFSOut()
            (body.bsize, body.frsize, body.namelen) = (4096, 4096, 255)
            reply(header, body)
        case .open: open(header)
        case .release:
            // The handle is the number of the backing file, which an open file did not need any more.
            if let body = part(ReleaseIn(), at: MemoryLayout<InHeader>.size, of: count) {
                closeBacking(UInt32(truncatingIfNeeded: body.handle))
            }
            reply(header, error: Errno(rawValue: 0))
        case .flush: reply(header, error: Errno(rawValue: 0))
        case .forget, .batchForget, .interrupt, .destroy: break
        // The kernel would take ENOSYS for "done".
        case .fsync: reply(header, error: .EOPNOTSUPP)
        case .setattr: reply(header, error: .EPERM)
        default: reply(header, error: .ENOSYS)
        }
    }

    private mutating func initialize(_ header: InHeader, _ count: Int) {
        // Kernels that have passthrough send all of it.
        let body = part(InitIn(), at: MemoryLayout<InHeader>.size, of: count) ?? InitIn()
        offered = body.allFlags
        var answer = InitOut()
        answer.major = ProtocolVersion.major
        answer.minor = min(body.minor, ProtocolVersion.minor)
        answer.maxReadahead = body.maxReadahead
        answer.maxWrite = 4096
        answer.timeGranularity = 1
        let wanted = InitFlags.initExtended | InitFlags.passthrough | InitFlags.requestTimeout
        answer.setFlags(wanted & body.allFlags)
        // Backing files may lie on a file system that stands on another one: overlayfs.
        answer.maxStackDepth = 2
        // If this process ever stops answering, whoever waits gets an error (Linux 6.15).
        if body.allFlags & InitFlags.requestTimeout != 0 { answer.requestTimeout = Self.requestSeconds }
        reply(header, answer)
    }

    private func lookUp(_ header: InHeader, _ count: Int) {
        let start = MemoryLayout<InHeader>.size
        let name = request[start..<max(start, count)].prefix { $0 != 0 }
        guard let number = UInt64(String(decoding: name, as: UTF8.self)), pending.contains(number) else {
            return reply(header, error: .ENOENT)
        }
        // entryValid 0: a name is asked for again each time.
        var body = EntryOut()
        body.nodeID = Self.firstNode &+ number
        body.attrValid = Self.longTime
        body.attributes = Self.attributes(body.nodeID)
        reply(header, body)
    }

    private mutating func open(_ header: InHeader) {
        guard let backing = pending.take(header.nodeID &- Self.firstNode) else {
            return reply(header, error: .ESTALE)
        }
        var body = OpenOut()
        // The kernel looks the number up after it has this answer: it is given back with the handle.
        body.handle = UInt64(backing)
        body.openFlags = OpenOutFlags.passthrough | OpenOutFlags.noFlush
        body.backingID = Int32(bitPattern: backing)
        if !send(header, body) { closeBacking(backing) }
    }

    /// The root directory is node 1, file number n node 1 + n.
    private static let firstNode: UInt64 = 1
    private static let longTime: UInt64 = 1 << 30
    private static let requestSeconds: UInt16 = 30

    private static func attributes(_ node: UInt64) -> Attributes {
        var result = Attributes()
        result.ino = node
        result.nlink = 1
        if node == firstNode {
            result.mode = FileType.directory | 0o777
        } else {
            result.mode = FileType.regular | 0o666
            result.size = size
        }
        result.blksize = 4096
        return result
    }

    // MARK: Bytes

    /// What lies at `offset` of a request of `count` bytes; nil if it ends before.
    private func part<Part: BitwiseCopyable>(_ empty: Part, at offset: Int, of count: Int) -> Part? {
        guard count <= request.count, offset + MemoryLayout<Part>.size <= count else { return nil }
        // SAFETY: inside the buffer, as just checked; any bytes are a `Part`.
        return unsafe request.withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: offset, as: Part.self)
        }
    }

    private func reply<Body: BitwiseCopyable>(_ header: InHeader, _ body: Body) { _ = send(header, body) }

    /// Whether anybody still wanted the answer.
    private func send<Body: BitwiseCopyable>(_ header: InHeader, _ body: Body) -> Bool {
        write(header, error: 0, unsafe withUnsafeBytes(of: body) { unsafe Array($0) })
    }

    private func reply(_ header: InHeader, error: Errno) { _ = write(header, error: -error.rawValue, []) }

    private func write(_ header: InHeader, error: Int32, _ body: [UInt8]) -> Bool {
        var out = OutHeader()
        out.length = UInt32(truncatingIfNeeded: MemoryLayout<OutHeader>.size + body.count)
        out.error = error
        out.unique = header.unique
        let bytes = unsafe withUnsafeBytes(of: out) { unsafe Array($0) } + body
        let device = device
        // A reply is written whole or not at all.
        return (try? systemCall { unsafe Glibc.write(device, bytes, bytes.count) }) != nil
    }
}
