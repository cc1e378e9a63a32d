// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

@testable import HostFS

/// A share on a temporary directory with one worker, on the calling thread. Everything is undone at the end, also what
/// the worker did to the thread.
final class TestShare {
    let path: String
    let share: Share
    let fs: HostFS
    private let formerDirectory: OwnedDescriptor
    private let formerMask: mode_t

    /// `base` chooses the file system: /tmp (ext4 here) or /dev/shm (tmpfs).
    init(
        on base: String = "/tmp", inodes: UInt32 = 1 << 26, window: (any FileWindow)? = nil,
        mappable: (any MappableSource)? = nil, changes: WriterPool? = nil,
        _ configure: (inout ShareOptions) -> Void = { _ in }
    ) throws {
        formerDirectory = OwnedDescriptor(adopting: open(".", O_PATH | O_CLOEXEC))
        formerMask = umask(0)
        var template = Array("\(base)/hostfs.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = String(cString: template)
        chmod(path, 0o755)
        var options = ShareOptions(sharedDirectory: Array(path.utf8))
        options.cache = .auto
        configure(&options)
        var capacities = StateArena.Capacities()
        capacities.inodes = inodes
        share = try Share(
            options, arena: StateArena(capacities), root: try openSharedRoot(options),
            process: try OwnProcess(withTasks: options.needsTasks), window: window, mappable: mappable,
            changes: changes)
        fs = try share.makeWorker()
    }

    deinit {
        fs.requestEnded()
        fs.enterDaemon()
        // Joins the threads that wait for locks.
        share.disconnect()
        removeTree(path)
        fchdir(formerDirectory.rawValue)
        umask(formerMask)
    }

    /// One request: what it used is let go of at its end.
    @discardableResult
    func request<R>(_ body: (HostFS) throws -> R) rethrows -> R {
        fs.requestBegan()
        defer { fs.requestEnded() }
        return try body(fs)
    }

    /// Negotiates INIT with a guest that offers everything, or `offer`.
    func initialize(_ offer: UInt64 = .max) throws -> UInt64 {
        try request { try $0.initialize(InitOffer(minor: 45, flags: offer, maxReadahead: 131_072)).flags }
    }

    /// The error that `body` throws, nil if it succeeds.
    func error<R>(_ body: (HostFS) throws -> R) -> Errno? {
        do {
            _ = try request(body)
            return nil
        } catch {
            return error as? Errno
        }
    }

    /// LOOKUP of each component of `path`, from the root; returns the last one.
    @discardableResult
    func lookup(_ path: String, in parent: NodeID = .root) throws -> EntryOut {
        var entry = EntryOut()
        var node = parent
        for component in path.split(separator: "/") {
            entry = try request { fs in
                try withName(String(component)) { try fs.lookup(.root, parent: node, name: $0) }
            }
            node = NodeID(rawValue: entry.nodeID)
        }
        return entry
    }

    func node(_ path: String) throws -> NodeID { NodeID(rawValue: try lookup(path).nodeID) }

    /// How many descriptors this share holds for the guest; those of the process are also other tests'.
    var heldDescriptors: Int {
        let inodes = share.inodes
        return share.guestDescriptors
            + inodes.slots.usedSlots.count { slot in
                let record = inodes.record(slot)
                return inodes.slots.isLive(slot) && record.descriptor >= 0
                    && !record.has(VFS_INODE_KEEPS_DESCRIPTOR)
            }
    }

    // ---- the host's side ----

    func host(_ name: String) -> String { path + "/" + name }

    func write(_ name: String, _ text: String = "", mode: mode_t = 0o644) {
        let number = open(host(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = Glibc.write(number, text, text.utf8.count)
        fchmod(number, mode)
        close(number)
    }
}

extension Caller {
    static var root: Caller { Caller(uid: 0, gid: 0, pid: 1, unique: Unique(rawValue: 2)) }
    static func user(_ uid: UInt32, _ gid: UInt32? = nil) -> Caller {
        Caller(uid: uid, gid: gid ?? uid, pid: 1, unique: Unique(rawValue: 4))
    }
}

func withName<R>(_ text: String, _ body: (Name) throws -> R) rethrows -> R {
    try withName(bytes: Array(text.utf8), body)
}

func withName<R>(bytes: [UInt8], _ body: (Name) throws -> R) rethrows -> R {
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    return try text.withUnsafeBufferPointer {
        try body(Name(checked: $0.baseAddress!, byteCount: bytes.count))
    }
}

func withText<R>(_ text: String, _ body: (Text) throws -> R) rethrows -> R {
    try text.withCString { try body(Text(checked: $0, byteCount: text.utf8.count)) }
}

/// The bytes that `body` appends to a reply with room for `capacity`.
func reply(capacity: Int = 65536, _ body: (inout ReplyBuffer) throws -> Void) rethrows -> [UInt8] {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(capacity, 1), alignment: 8)
    defer { memory.deallocate() }
    var buffer = ReplyBuffer(base: memory, capacity: capacity)
    try body(&buffer)
    return Array(UnsafeRawBufferPointer(start: memory, count: buffer.count))
}

/// rm -rf, without following links.
func removeTree(_ path: String) { path.withCString { removeTree(AT_FDCWD, $0) } }

private func removeTree(_ parent: Int32, _ name: UnsafePointer<CChar>) {
    guard unlinkat(parent, name, 0) != 0 else { return }
    let number = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if let directory = fdopendir(number) {
        while let entry = readdir(directory) {
            withUnsafePointer(to: &entry.pointee.d_name.0) { child in
                if strcmp(child, ".") != 0, strcmp(child, "..") != 0 { removeTree(number, child) }
            }
        }
        closedir(directory)
    }
    unlinkat(parent, name, AT_REMOVEDIR)
}

let isRoot = geteuid() == 0
