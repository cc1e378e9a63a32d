// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS

@testable import HostFS

/// Guest pages: `lengths` vectors with their bytes.
final class Pages {
    private let vectors: UnsafeMutablePointer<iovec>
    private let bases: [UnsafeMutablePointer<UInt8>]
    private let lengths: [Int]

    init(_ lengths: [Int], fill: [UInt8] = []) {
        self.lengths = lengths
        bases = lengths.map { UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, $0)) }
        vectors = UnsafeMutablePointer<iovec>.allocate(capacity: max(1, lengths.count))
        var next = 0
        for (index, length) in lengths.enumerated() {
            for offset in 0..<length {
                bases[index][offset] = next < fill.count ? fill[next] : 0xee
                next += 1
            }
            vectors[index] = iovec(iov_base: bases[index], iov_len: length)
        }
    }

    deinit {
        for base in bases { base.deallocate() }
        vectors.deallocate()
    }

    var data: DataVector {
        DataVector(iovecs: vectors, count: lengths.count, byteCount: lengths.reduce(0, +))
    }

    var bytes: [UInt8] {
        zip(bases, lengths).flatMap { base, length in Array(UnsafeBufferPointer(start: base, count: length)) }
    }
}

extension TestShare {
    func openNode(_ node: NodeID, _ flags: Int32, kill: Bool = false) throws -> OpenOut {
        var arguments = OpenIn()
        arguments.flags = UInt32(bitPattern: flags)
        arguments.openFlags = kill ? OpenIn.killSuidGid : 0
        return try request { fs in try fs.open(.root, nodeID: node, arguments) }
    }

    /// OPEN of `name`.
    func opened(_ name: String, _ flags: Int32) throws -> (node: NodeID, handle: UInt64) {
        let node = try node(name)
        return (node, try openNode(node, flags).handle)
    }

    /// The host's open(2) flags of a handle.
    func hostFlags(_ node: NodeID, _ handle: UInt64) throws -> Int32 {
        try request { fs in vfs_fcntl_int(try fs.openFile(handle, of: node).descriptor, F_GETFL, 0) }
    }

    func read(
        _ node: NodeID, _ handle: UInt64, at offset: UInt64 = 0, _ lengths: [Int],
        deferrals: ReadTaker = ReadTaker()
    ) throws -> [UInt8] {
        let pages = Pages(lengths)
        var arguments = ReadIn()
        arguments.handle = handle
        arguments.offset = offset
        arguments.size = UInt32(lengths.reduce(0, +))
        let count = try request { fs in
            try fs.read(.root, nodeID: node, arguments, into: pages.data, deferrals: deferrals)
        }
        return Array(pages.bytes[..<count])
    }

    func write(
        _ node: NodeID, _ handle: UInt64, at offset: UInt64 = 0, _ bytes: [UInt8], in lengths: [Int]? = nil,
        openFlags: Int32 = 0, writeFlags: UInt32 = 0
    ) throws -> Int {
        let pages = Pages(lengths ?? [bytes.count], fill: bytes)
        var arguments = WriteIn()
        arguments.handle = handle
        arguments.offset = offset
        arguments.size = UInt32(bytes.count)
        arguments.flags = UInt32(bitPattern: openFlags)
        arguments.writeFlags = writeFlags
        return try request { fs in try fs.write(.root, nodeID: node, arguments, from: pages.data) }
    }

    func release(_ node: NodeID, _ handle: UInt64, flags: UInt32 = 0, owner: UInt64 = 0) throws {
        var arguments = ReleaseIn()
        arguments.handle = handle
        arguments.releaseFlags = flags
        arguments.lockOwner = owner
        try request { fs in try fs.release(.root, nodeID: node, arguments) }
    }

    func create(
        _ name: String, _ flags: Int32, mode: UInt32 = 0o644, umask: UInt32 = 0, as caller: Caller = .root,
        in parent: NodeID = .root, kill: Bool = false
    ) throws -> CreateOut {
        var arguments = CreateIn()
        arguments.flags = UInt32(bitPattern: flags | O_CREAT)
        arguments.mode = S_IFREG | mode
        arguments.umask = umask
        arguments.openFlags = kill ? OpenIn.killSuidGid : 0
        return try request { fs in
            try withName(name) { name in try fs.create(caller, parent: parent, name: name, arguments) }
        }
    }

    func mkdir(_ name: String, mode: UInt32 = 0o755, as caller: Caller = .root, in parent: NodeID = .root)
        throws
        -> EntryOut
    {
        var arguments = MkdirIn()
        arguments.mode = mode
        return try request { fs in
            try withName(name) { name in try fs.mkdir(caller, parent: parent, name: name, arguments) }
        }
    }

    func mknod(_ name: String, _ mode: UInt32, device: UInt32 = 0, as caller: Caller = .root) throws
        -> EntryOut
    {
        var arguments = MknodIn()
        arguments.mode = mode
        arguments.rdev = device
        return try request { fs in
            try withName(name) { name in try fs.mknod(caller, parent: .root, name: name, arguments) }
        }
    }

    func symlink(_ name: String, to target: String, as caller: Caller = .root) throws -> EntryOut {
        try request { fs in
            try withName(name) { name in
                try withText(target) { text in try fs.symlink(caller, parent: .root, name: name, target: text)
                }
            }
        }
    }

    func link(_ node: NodeID, _ name: String) throws -> EntryOut {
        try request { fs in
            try withName(name) { name in try fs.link(.root, nodeID: node, newParent: .root, name: name) }
        }
    }

    func rename(_ from: String, _ to: String, flags: UInt32 = 0, in target: NodeID = .root) throws {
        try request { fs in
            try withName(from) { from in
                try withName(to) { to in
                    try fs.rename(
                        .root, parent: .root, name: from, newParent: target, newName: to, flags: flags)
                }
            }
        }
    }

    func forget(_ node: NodeID, _ count: UInt64 = 1) {
        request { fs in fs.forget(node, count: count) }
    }

    // ---- the host's side ----

    func status(_ name: String) -> stat {
        var status = stat()
        lstat(host(name), &status)
        return status
    }

    func contents(_ name: String) -> [UInt8] {
        fs.enterDaemon()  // the last request may have left the thread with its caller's ids
        let number = Glibc.open(host(name), O_RDONLY | O_CLOEXEC)
        defer { Glibc.close(number) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(number, &bytes, bytes.count)
        return Array(bytes[..<max(0, count)])
    }

    /// How many descriptors of this process are of this share's objects; other tests run at the same time.
    func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            var target = [CChar](repeating: 0, count: 4096)
            let length = withUnsafePointer(to: &entry.pointee.d_name.0) { name in
                readlinkat(dirfd(directory), name, &target, target.count - 1)
            }
            if length > 0, String(cString: target).hasPrefix(path + "/") { count += 1 }
        }
        return count
    }

    func exists(_ name: String) -> Bool { faccessat(AT_FDCWD, host(name), F_OK, AT_SYMLINK_NOFOLLOW) == 0 }
}

/// The error of `body`; nil if there is none.
func failure<R>(_ body: () throws -> R) -> Errno? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? Errno
    }
}

/// Takes reads, as many as it is told to, and does nothing with them.
final class ReadTaker: DeferralSource {
    private let room: Int
    private(set) var taken: [HostRead] = []

    init(room: Int = 0) { self.room = room }

    func deferReply() -> any DeferredReply { fatalError("no request of a reader's") }

    func take(_ read: HostRead) -> Bool {
        guard taken.count < room else { return false }
        taken.append(read)
        return true
    }
}
