// SPDX-License-Identifier: Apache-2.0
import CLinux
import Frontend
import FuseWire
import Glibc
import HostFS
import HostOS
import Testing

/// A guest with something of every kind looked up and opened, for requests of every opcode.
struct CatalogueFixture {
    private let rig: HostRig?
    let guest: FuseClient
    let file: NodeID
    let directory: NodeID
    let link: NodeID
    let fileHandle: UInt64
    let directoryHandle: UInt64

    /// The daemon in this process, where it is that.
    var host: HostRig {
        guard let rig else { preconditionFailure("the daemon is another process") }
        return rig
    }

    init(configure: (inout ShareOptions) -> Void = { _ in }, opensForWriting: Bool = true) throws {
        let host = try HostRig {
            $0.xattr = true
            $0.posixLock = true
            $0.flock = true
            configure(&$0)
        }
        try Self.fill(host.root)
        try self.init(try host.guest(), rig: host, opensForWriting: opensForWriting)
    }

    /// A guest of another process, whose share has been filled. Without `opens` its handles are 0: an exclusive share's.
    init(_ guest: FuseClient, opens: Bool = true) throws { try self.init(guest, rig: nil, opens: opens) }

    private init(_ guest: FuseClient, rig: HostRig?, opensForWriting: Bool = true, opens: Bool = true) throws
    {
        (self.rig, self.guest) = (rig, guest)
        file = try guest.lookup(.root, "file".utf8).node
        directory = try guest.lookup(.root, "directory".utf8).node
        link = try guest.lookup(.root, "link".utf8).node
        let flags = opensForWriting ? Open.readWrite : Open.read
        fileHandle = opens ? try guest.open(file, flags: flags).handle : 0
        directoryHandle = opens ? try guest.opendir(directory).handle : 0
    }

    /// Makes what the requests are about.
    static func fill(_ root: String) throws {
        try Files.replace(root + "/file", with: Array("0123456789".utf8))
        for name in ["/directory", "/empty"] { try check(mkdir(root + name, 0o755)) }
        try check(symlink("file", root + "/link"))
        try check(setxattr(root + "/file", "user.x", "1", 1, 0))
    }
}

/// One valid request of an opcode, and what its parts are.
struct CatalogueEntry: Sendable, CustomTestStringConvertible {
    let opcode: Opcode
    /// How many names it has, at the end of its arguments.
    var names = 0
    /// Where in its arguments a file handle lies, if there is one.
    var handleOffset: Int?
    /// Whether it changes anything, so that a read-only share refuses it.
    var changes = false
    /// The nodeid of the header is that of an object.
    var hasNode = true
    /// Bytes of the reply that are always there.
    var fixedReply = 0
    let make: @Sendable (CatalogueFixture) -> FuseRequest

    var testDescription: String { "\(opcode)" }

    /// The request with room for its whole reply.
    func request(_ fixture: CatalogueFixture) -> FuseRequest {
        var request = make(fixture)
        if request.replyBodyByteCount == 0 { request.replyBodyByteCount = fixedReply }
        return request
    }

    private static func named(
        _ opcode: Opcode, _ node: NodeID, _ argument: (any BitwiseCopyable)?, _ names: [String]
    ) -> FuseRequest {
        var request = FuseRequest(opcode, node)
        if let argument { request.append(argument) }
        for name in names { request.append(name: name.utf8) }
        return request
    }

    /// Every opcode that is served, INIT, DESTROY and those without a reply aside.
    static let all: [CatalogueEntry] = names + attributes + files + directories

    static let names: [CatalogueEntry] = [
        CatalogueEntry(opcode: .lookup, names: 1, fixedReply: 128) { _ in named(.lookup, .root, nil, ["file"])
        },
        CatalogueEntry(opcode: .mknod, names: 1, changes: true, fixedReply: 128) { _ in
            var argument = MknodIn()
            argument.mode = S_IFIFO | 0o600
            return named(.mknod, .root, argument, ["new"])
        },
        CatalogueEntry(opcode: .mkdir, names: 1, changes: true, fixedReply: 128) { _ in
            var argument = MkdirIn()
            argument.mode = 0o755
            return named(.mkdir, .root, argument, ["new"])
        },
        CatalogueEntry(opcode: .symlink, names: 1, changes: true, fixedReply: 128) { _ in
            // The target may be anything, so only the name counts as one; it comes first.
            named(.symlink, .root, nil, ["new", "target"])
        },
        CatalogueEntry(opcode: .link, names: 1, changes: true, fixedReply: 128) { fixture in
            var argument = LinkIn()
            argument.oldNodeID = fixture.file.rawValue
            return named(.link, .root, argument, ["new"])
        },
        CatalogueEntry(opcode: .unlink, names: 1, changes: true) { _ in named(.unlink, .root, nil, ["file"])
        },
        CatalogueEntry(opcode: .rmdir, names: 1, changes: true) { _ in named(.rmdir, .root, nil, ["empty"]) },
        CatalogueEntry(opcode: .rename, names: 2, changes: true) { _ in
            var argument = RenameIn()
            argument.newDirectory = 1
            return named(.rename, .root, argument, ["file", "new"])
        },
        CatalogueEntry(opcode: .rename2, names: 2, changes: true) { _ in
            var argument = Rename2In()
            argument.newDirectory = 1
            argument.flags = 1
            return named(.rename2, .root, argument, ["file", "new"])
        },
        CatalogueEntry(opcode: .create, names: 1, changes: true, fixedReply: 144) { _ in
            FuseClient.createRequest(.create, .root, "new".utf8, flags: Open.readWrite, mode: 0o644, umask: 0)
        },
        CatalogueEntry(opcode: .tmpfile, changes: true, fixedReply: 144) { _ in
            FuseClient.createRequest(.tmpfile, .root, "/".utf8, flags: Open.readWrite, mode: 0o644, umask: 0)
        },
        CatalogueEntry(opcode: .readlink) { fixture in
            var request = FuseRequest(.readlink, fixture.link)
            request.replyBodyByteCount = 4096
            return request
        },
    ]

    static let attributes: [CatalogueEntry] = [
        CatalogueEntry(opcode: .getattr, fixedReply: 104) { FuseRequest(.getattr, $0.file, GetAttrIn()) },
        CatalogueEntry(opcode: .setattr, changes: true, fixedReply: 104) { fixture in
            var argument = SetAttrIn()
            argument.valid = SetAttrValid.mode
            argument.mode = 0o600
            return FuseRequest(.setattr, fixture.file, argument)
        },
        CatalogueEntry(opcode: .statx, fixedReply: 288) { fixture in
            var argument = StatxIn()
            argument.mask = 0xfff
            return FuseRequest(.statx, fixture.file, argument)
        },
        CatalogueEntry(opcode: .access) { FuseRequest(.access, $0.file, AccessIn()) },
        CatalogueEntry(opcode: .statfs, fixedReply: 80) { _ in FuseRequest(.statfs, .root) },
        CatalogueEntry(opcode: .syncfs) { _ in FuseRequest(.syncfs, .root, SyncFSIn()) },
        CatalogueEntry(opcode: .setxattr, changes: true) { fixture in
            var argument = SetXattrIn()
            argument.size = 3
            var request = FuseRequest(.setxattr, fixture.file, argument)
            if fixture.guest.agreedFlags & InitFlags.setxattrExtended == 0 {
                request.arguments = Array(request.arguments.prefix(8))
            }
            request.append(name: "user.y".utf8)
            request.arguments += [1, 2, 3]
            return request
        },
        CatalogueEntry(opcode: .getxattr) { fixture in
            var argument = GetXattrIn()
            argument.size = 64
            var request = FuseRequest(.getxattr, fixture.file, argument)
            request.append(name: "user.x".utf8)
            request.replyBodyByteCount = 64
            return request
        },
        CatalogueEntry(opcode: .listxattr) { fixture in
            var argument = GetXattrIn()
            argument.size = 4096
            var request = FuseRequest(.listxattr, fixture.file, argument)
            request.replyBodyByteCount = 4096
            return request
        },
        CatalogueEntry(opcode: .removexattr, changes: true) { fixture in
            var request = FuseRequest(.removexattr, fixture.file)
            request.append(name: "user.x".utf8)
            return request
        },
    ]

    static let files: [CatalogueEntry] = [
        CatalogueEntry(opcode: .open, fixedReply: 16) { FuseRequest(.open, $0.file, OpenIn()) },
        CatalogueEntry(opcode: .read, handleOffset: 0) {
            FuseClient.readRequest(.read, $0.file, $0.fileHandle, offset: 0, size: 5)
        },
        CatalogueEntry(opcode: .write, handleOffset: 0, changes: true, fixedReply: 8) {
            FuseClient.writeRequest($0.file, $0.fileHandle, offset: 1, [1, 2, 3])
        },
        CatalogueEntry(opcode: .flush, handleOffset: 0) { fixture in
            var argument = FlushIn()
            argument.handle = fixture.fileHandle
            return FuseRequest(.flush, fixture.file, argument)
        },
        CatalogueEntry(opcode: .release, handleOffset: 0) { fixture in
            var argument = ReleaseIn()
            argument.handle = fixture.fileHandle
            return FuseRequest(.release, fixture.file, argument)
        },
        CatalogueEntry(opcode: .fsync, handleOffset: 0) { fixture in
            var argument = FsyncIn()
            argument.handle = fixture.fileHandle
            return FuseRequest(.fsync, fixture.file, argument)
        },
        CatalogueEntry(opcode: .fallocate, handleOffset: 0, changes: true) { fixture in
            var argument = FallocateIn()
            (argument.handle, argument.length) = (fixture.fileHandle, 4096)
            return FuseRequest(.fallocate, fixture.file, argument)
        },
        CatalogueEntry(opcode: .lseek, handleOffset: 0, fixedReply: 8) { fixture in
            var argument = LseekIn()
            (argument.handle, argument.whence) = (fixture.fileHandle, 3)
            return FuseRequest(.lseek, fixture.file, argument)
        },
        copy(.copyFileRange), copy(.copyFileRange64),
        CatalogueEntry(opcode: .ioctl, handleOffset: 0, fixedReply: 20) { fixture in
            var argument = IoctlIn()
            (argument.handle, argument.command, argument.outSize) = (fixture.fileHandle, 0x8008_6601, 4)
            return FuseRequest(.ioctl, fixture.file, argument)
        },
        lock(.getlk, fixedReply: 24), lock(.setlk), lock(.setlkw),
    ]

    private static func copy(_ opcode: Opcode) -> CatalogueEntry {
        CatalogueEntry(opcode: opcode, handleOffset: 0, changes: true, fixedReply: 8) { fixture in
            var argument = CopyFileRangeIn()
            (argument.handleIn, argument.handleOut) = (fixture.fileHandle, fixture.fileHandle)
            (argument.nodeIDOut, argument.offsetOut, argument.length) = (fixture.file.rawValue, 100, 10)
            return FuseRequest(opcode, fixture.file, argument)
        }
    }

    private static func lock(_ opcode: Opcode, fixedReply: Int = 0) -> CatalogueEntry {
        CatalogueEntry(opcode: opcode, handleOffset: 0, fixedReply: fixedReply) { fixture in
            var lock = FileLock()
            lock.end = UInt64(Int64.max)
            return FuseClient.lockRequest(opcode, fixture.file, fixture.fileHandle, owner: 1, lock)
        }
    }

    static let directories: [CatalogueEntry] = [
        CatalogueEntry(opcode: .opendir, fixedReply: 16) { FuseRequest(.opendir, $0.directory, OpenIn()) },
        CatalogueEntry(opcode: .readdir, handleOffset: 0) {
            FuseClient.readRequest(.readdir, $0.directory, $0.directoryHandle, offset: 0, size: 4096)
        },
        CatalogueEntry(opcode: .readdirplus, handleOffset: 0) {
            FuseClient.readRequest(.readdirplus, $0.directory, $0.directoryHandle, offset: 0, size: 4096)
        },
        CatalogueEntry(opcode: .fsyncdir, handleOffset: 0) { fixture in
            var argument = FsyncIn()
            argument.handle = fixture.directoryHandle
            return FuseRequest(.fsyncdir, fixture.directory, argument)
        },
        CatalogueEntry(opcode: .releasedir, handleOffset: 0) { fixture in
            var argument = ReleaseIn()
            argument.handle = fixture.directoryHandle
            return FuseRequest(.releasedir, fixture.directory, argument)
        },
    ]
}
