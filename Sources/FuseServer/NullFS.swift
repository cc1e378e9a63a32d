// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// A file system without a host, for fuzzing the request path and measuring it alone:
///
///     /            nodeID 1
///     /null        nodeID 2, a regular file that behaves like /dev/null
///     /directory   nodeID 3, empty
///     /link        nodeID 4, a symbolic link to "null"
///
/// It remembers nothing: what is made is one of these, what is removed stays. Not final, for tests that want one operation
/// to behave otherwise.
public class NullFS: FileSystem {
    private struct Node {
        let id: NodeID
        let name: StaticString
        /// S_IF… and permissions.
        let mode: UInt32
    }

    private static let root = Node(id: .root, name: ".", mode: 0o040755)
    private static let null = Node(id: NodeID(rawValue: 2), name: "null", mode: 0o100666)
    private static let directory = Node(id: NodeID(rawValue: 3), name: "directory", mode: 0o040755)
    private static let link = Node(id: NodeID(rawValue: 4), name: "link", mode: 0o120777)
    private static let target: StaticString = "null"
    private static let xattrName: StaticString = "user.null"
    private static let handle: UInt64 = 7
    /// How long the guest may keep what it is told, in seconds.
    private static let validity: UInt64 = 3600

    public init() {}

    private static func node(_ id: NodeID) throws(Errno) -> Node {
        switch id.rawValue {
        case 1: root
        case 2: null
        case 3: directory
        case 4: link
        default: throw .ESTALE
        }
    }

    /// The entry of the root at `position`, which counts from 0.
    private static func child(_ position: UInt64) -> Node? {
        switch position {
        case 0: null
        case 1: directory
        case 2: link
        default: nil
        }
    }

    private static func attributes(_ node: Node) -> Attributes {
        var attributes = Attributes()
        attributes.ino = node.id.rawValue
        attributes.mode = node.mode
        attributes.nlink = node.mode & 0o170000 == 0o040000 ? 2 : 1
        attributes.blksize = 4096
        return attributes
    }

    private static func entry(_ node: Node) -> EntryOut {
        var entry = EntryOut()
        entry.nodeID = node.id.rawValue
        entry.entryValid = validity
        entry.attrValid = validity
        entry.attributes = attributes(node)
        return entry
    }

    private static func attributesReply(_ id: NodeID) throws(Errno) -> AttrOut {
        var reply = AttrOut()
        reply.attrValid = validity
        reply.attributes = attributes(try node(id))
        return reply
    }

    /// Refuses what is no directory.
    private static func requireDirectory(_ id: NodeID) throws(Errno) {
        guard try node(id).mode & 0o170000 == 0o040000 else { throw .ENOTDIR }
    }

    private static func requireHandle(_ handle: UInt64) throws(Errno) {
        guard handle == Self.handle else { throw .EBADF }
    }

    private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private static func openReply() -> OpenOut {
        var reply = OpenOut()
        reply.handle = handle
        return reply
    }

    // ---- session ----

    public func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice { InitChoice(flags: offer.flags) }
    public func destroy() {}
    public func requestBegan() {}
    public func requestEnded() {}

    // ---- names ----

    public func lookup(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) -> EntryOut {
        try Self.requireDirectory(parent)
        guard parent == .root else { throw .ENOENT }
        let wanted = unsafe UnsafeRawBufferPointer(start: name.cString, count: name.byteCount)
        var position: UInt64 = 0
        while let child = Self.child(position) {
            if unsafe wanted.elementsEqual(Self.bytes(child.name)) { return Self.entry(child) }
            position += 1
        }
        throw .ENOENT
    }

    public func lookupSpecial(_ caller: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut {
        Self.entry(parent ? Self.root : try Self.node(nodeID))
    }

    public func forget(_ nodeID: NodeID, count: UInt64) {}

    public func mknod(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MknodIn
    ) throws(Errno) -> EntryOut {
        try Self.requireDirectory(parent)
        return Self.entry(Self.null)
    }

    public func mkdir(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: MkdirIn
    ) throws(Errno) -> EntryOut {
        try Self.requireDirectory(parent)
        return Self.entry(Self.directory)
    }

    public func symlink(_ caller: Caller, parent: NodeID, name: Name, target: Text) throws(Errno) -> EntryOut
    {
        try Self.requireDirectory(parent)
        return Self.entry(Self.link)
    }

    public func link(
        _ caller: Caller, nodeID: NodeID, newParent: NodeID, name: Name
    ) throws(Errno) -> EntryOut {
        try Self.requireDirectory(newParent)
        return Self.entry(try Self.node(nodeID))
    }

    public func unlink(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        try Self.requireDirectory(parent)
    }

    public func rmdir(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        try Self.requireDirectory(parent)
    }

    public func rename(
        _ caller: Caller, parent: NodeID, name: Name, newParent: NodeID, newName: Name, flags: UInt32
    ) throws(Errno) {
        try Self.requireDirectory(parent)
        try Self.requireDirectory(newParent)
    }

    public func readlink(_ caller: Caller, nodeID: NodeID, into reply: inout ReplyBuffer) throws(Errno) {
        guard nodeID == Self.link.id else { throw .EINVAL }
        guard unsafe reply.append(Self.bytes(Self.target)) else { throw .ENAMETOOLONG }
    }

    // ---- attributes ----

    public func getattr(_ caller: Caller, nodeID: NodeID, handle: HandleID?) throws(Errno) -> AttrOut {
        try Self.attributesReply(nodeID)
    }

    public func setattr(_ caller: Caller, nodeID: NodeID, _ arguments: SetAttrIn) throws(Errno) -> AttrOut {
        try Self.attributesReply(nodeID)
    }

    public func statx(
        _ caller: Caller, nodeID: NodeID, handle: HandleID?, _ arguments: StatxIn
    ) throws(Errno) -> StatxOut {
        let attributes = Self.attributes(try Self.node(nodeID))
        var reply = StatxOut()
        reply.attrValid = Self.validity
        reply.stat.mask = 0x7ff  // STATX_BASIC_STATS
        reply.stat.mode = UInt16(truncatingIfNeeded: attributes.mode)
        reply.stat.nlink = attributes.nlink
        reply.stat.ino = attributes.ino
        reply.stat.blksize = attributes.blksize
        return reply
    }

    public func access(_ caller: Caller, nodeID: NodeID, mask: UInt32) throws(Errno) {
        _ = try Self.node(nodeID)
    }

    public func statfs(_ caller: Caller, nodeID: NodeID) throws(Errno) -> StatFSOut {
        var reply = StatFSOut()
        reply.bsize = 4096
        reply.frsize = 4096
        reply.files = 4
        reply.namelen = UInt32(Name.maximumByteCount)
        return reply
    }

    // ---- files ----

    public func open(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        guard nodeID == Self.null.id else { throw .EISDIR }
        return Self.openReply()
    }

    public func create(
        _ caller: Caller, parent: NodeID, name: Name, _ arguments: CreateIn
    ) throws(Errno) -> CreateOut {
        try tmpfile(caller, parent: parent, arguments)
    }

    public func tmpfile(_ caller: Caller, parent: NodeID, _ arguments: CreateIn) throws(Errno) -> CreateOut {
        try Self.requireDirectory(parent)
        var reply = CreateOut()
        reply.entry = Self.entry(Self.null)
        reply.open = Self.openReply()
        return reply
    }

    public func read(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into data: DataVector,
        deferrals: any DeferralSource
    ) throws(Errno) -> Int {
        try Self.requireHandle(arguments.handle)
        return 0
    }

    public func write(
        _ caller: Caller, nodeID: NodeID, _ arguments: WriteIn, from data: DataVector
    ) throws(Errno) -> Int {
        try Self.requireHandle(arguments.handle)
        return data.byteCount
    }

    public func flush(_ caller: Caller, nodeID: NodeID, _ arguments: FlushIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    public func release(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    public func fsync(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    public func fallocate(_ caller: Caller, nodeID: NodeID, _ arguments: FallocateIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    public func lseek(_ caller: Caller, nodeID: NodeID, _ arguments: LseekIn) throws(Errno) -> UInt64 {
        try Self.requireHandle(arguments.handle)
        throw .ENXIO
    }

    public func copyFileRange(
        _ caller: Caller, nodeID: NodeID, _ arguments: CopyFileRangeIn
    ) throws(Errno) -> UInt64 {
        try Self.requireHandle(arguments.handleIn)
        return 0
    }

    public func ioctl(
        _ caller: Caller, nodeID: NodeID, _ arguments: IoctlIn, input: UnsafeRawBufferPointer,
        into reply: inout ReplyBuffer
    ) throws(Errno) -> Int32 {
        guard reply.appendZeros(reply.capacity) else { throw .EIO }
        return 0
    }

    public func syncfs(_ caller: Caller, nodeID: NodeID) throws(Errno) {}

    // ---- directories ----

    public func opendir(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        try Self.requireDirectory(nodeID)
        return Self.openReply()
    }

    public func readdir(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        try list(nodeID, arguments, withEntries: false, into: &reply)
    }

    public func readdirplus(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        try list(nodeID, arguments, withEntries: true, into: &reply)
    }

    private func list(
        _ nodeID: NodeID, _ arguments: ReadIn, withEntries: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) {
        try Self.requireDirectory(nodeID)
        try Self.requireHandle(arguments.handle)
        guard nodeID == .root else { return }
        var position = arguments.offset
        while let child = Self.child(position) {
            position += 1
            var dirent = Dirent()
            dirent.ino = child.id.rawValue
            dirent.offset = position
            dirent.nameLength = UInt32(child.name.utf8CodeUnitCount)
            dirent.type = child.mode >> 12
            let start = reply.count
            let padding = (8 - child.name.utf8CodeUnitCount % 8) % 8
            let fits =
                unsafe (!withEntries || reply.append(Self.entry(child))) && reply.append(dirent)
                && reply.append(Self.bytes(child.name)) && reply.appendZeros(padding)
            guard fits else {
                reply.truncate(to: start)
                return
            }
        }
    }

    public func releasedir(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    public func fsyncdir(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        try Self.requireHandle(arguments.handle)
    }

    // ---- extended attributes ----

    public func setxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ arguments: SetXattrIn
    ) throws(Errno) {
        _ = try Self.node(nodeID)
    }

    public func getxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        _ = try Self.node(nodeID)
        throw .ENODATA
    }

    public func listxattr(
        _ caller: Caller, nodeID: NodeID, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        _ = try Self.node(nodeID)
        let length = Self.xattrName.utf8CodeUnitCount + 1
        if sizeOnly { return length }
        guard length <= size, unsafe reply.append(Self.bytes(Self.xattrName)), reply.appendZeros(1) else {
            throw .ERANGE
        }
        return length
    }

    public func removexattr(_ caller: Caller, nodeID: NodeID, name: Text) throws(Errno) { throw .ENODATA }

    // ---- locks ----

    public func getlk(_ caller: Caller, nodeID: NodeID, _ arguments: LockIn) throws(Errno) -> FileLock {
        try Self.requireHandle(arguments.handle)
        var lock = arguments.lock
        lock.type = 2  // F_UNLCK: nobody holds it
        return lock
    }

    public func setlk(
        _ caller: Caller, nodeID: NodeID, _ arguments: LockIn, wait: Bool, deferrals: any DeferralSource
    ) throws(Errno) -> Completion {
        try Self.requireHandle(arguments.handle)
        return .done
    }

    public func interrupt(_ unique: Unique) {}
}
