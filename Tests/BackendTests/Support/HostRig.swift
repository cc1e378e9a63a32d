// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import Frontend
import FuseServer
import FuseWire
import Glibc
import HostFS
import HostOS
import StateArena
import Testing
import VhostUser

/// How the guest talks to the device; what it means must not depend on it.
struct Setup: Sendable, CustomTestStringConvertible {
    var queues = 1
    var eventIndex = true
    var indirect = true
    var framing = Framing.linux
    var regionByteCount: Int?

    /// One and four queues, each ring feature on and off, every framing, guest memory whole and in pieces.
    static let all: [Setup] = [
        Setup(),
        Setup(queues: 4),
        Setup(eventIndex: false, framing: .single),
        Setup(queues: 4, indirect: false, framing: .single),
        Setup(eventIndex: false, indirect: false, framing: .scattered),
        Setup(queues: 4, eventIndex: false, indirect: false),
        Setup(queues: 4, eventIndex: false, framing: .scattered, regionByteCount: 1 << 17),
        Setup(indirect: false, regionByteCount: 1 << 17),
    ]

    var testDescription: String {
        "\(queues) queue(s), event index \(eventIndex), indirect \(indirect), \(framing)"
            + (regionByteCount == nil ? "" : ", memory in pieces")
    }

    var options: FrontendOptions {
        var options = FrontendOptions()
        options.requestQueues = queues
        options.queueSize = 1024
        options.depth = 4
        options.features = [.version1]
        if eventIndex { options.features.insert(.eventIndex) }
        if indirect { options.features.insert(.indirectDescriptors) }
        options.regionByteCount = regionByteCount
        return options
    }
}

/// A daemon in this process that shares a temporary directory, and a look at that directory past the daemon.
final class HostRig {
    let rig: Rig
    let share: Share
    /// The shared directory.
    let root: String
    /// A directory beside it that no guest may ever touch.
    let outside: String
    let setup: Setup

    /// - Parameter parent: where the temporary directory is made.
    init(
        _ setup: Setup = Setup(), in parent: String = "/tmp", capacities: StateArena.Capacities = .init(),
        mayUseIOUring: Bool = true, limits: RequestLimits = RequestLimits(),
        configure: (inout ShareOptions) -> Void = { _ in }
    ) throws {
        let scratch = try TemporaryDirectory(in: parent)
        self.setup = setup
        root = scratch.path + "/share"
        outside = scratch.path + "/outside"
        try check(mkdir(root, 0o755))
        try check(mkdir(outside, 0o755))
        var options = ShareOptions(sharedDirectory: Array(root.utf8))
        configure(&options)
        let arena = try StateArena(capacities)
        share = try Share(options, arena: arena)
        rig = try Rig(
            queues: setup.queues, share: share, arena: arena, mayUseIOUring: mayUseIOUring,
            limits: limits, scratch: scratch)
    }

    /// A guest that has connected, with everything that Linux offers agreed on or what `flags` leaves of it.
    func guest(flags: UInt64 = FuseClient.linuxFlags) throws -> FuseClient {
        let client = FuseClient(try rig.connect(setup.options))
        for queue in client.frontend.queues { queue.framing = setup.framing }
        client.rotatesQueues = true
        _ = try client.initialize(flags: flags)
        return client
    }

    // MARK: The host's side

    func path(_ name: String) -> String { root + "/" + name }

    func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
        let file = OwnedDescriptor(adopting: try check(open(path(name), O_CREAT | O_TRUNC | O_WRONLY, mode)))
        let count = bytes.withUnsafeBytes { Glibc.write(file.rawValue, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw Errno.EIO }
    }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
        try write(name, Array(text.utf8), mode: mode)
    }

    func read(_ name: String) throws -> [UInt8] {
        let file = OwnedDescriptor(adopting: try check(open(path(name), O_RDONLY)))
        var bytes = [UInt8](repeating: 0, count: 1 << 22)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(file.rawValue, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw Errno(rawValue: errno) }
        return Array(bytes.prefix(count))
    }

    func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }

    func makeDirectory(_ name: String, mode: mode_t = 0o755) throws {
        try check(mkdir(path(name), mode))
        try check(chmod(path(name), mode))
    }

    func status(_ name: String) throws -> stat {
        var result = stat()
        try check(lstat(path(name), &result))
        return result
    }

    func exists(_ name: String) -> Bool { (try? status(name)) != nil }

    func target(_ name: String) throws -> String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = try check(readlink(path(name), &bytes, bytes.count))
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Everything below the temporary directory with what an operation could have changed: names, modes, owners, sizes,
    /// times of change, link counts.
    func snapshot() -> [String] {
        var lines: [String] = []
        func visit(_ path: String) {
            var status = stat()
            guard lstat(path, &status) == 0 else { return }
            lines.append(
                "\(path) \(status.st_ino) \(status.st_mode) \(status.st_uid):\(status.st_gid) \(status.st_size) "
                    + "\(status.st_nlink) \(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)")
            guard status.st_mode & S_IFMT == S_IFDIR, let directory = opendir(path) else { return }
            defer { closedir(directory) }
            var names: [String] = []
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != "." && name != ".." { names.append(name) }
            }
            for name in names.sorted() { visit(path + "/" + name) }
        }
        visit(rig.scratch.path)
        return lines
    }
}

/// Throws what a libc call failed with.
@discardableResult func check<T: FixedWidthInteger>(_ result: T) throws(Errno) -> T {
    if result == -1 { throw Errno(rawValue: errno) }
    return result
}

extension EntryOut {
    var node: NodeID { NodeID(rawValue: nodeID) }
}

/// open(2) flags as a guest on the same architecture sends them.
enum Open {
    static let read = UInt32(O_RDONLY)
    static let write = UInt32(O_WRONLY)
    static let readWrite = UInt32(O_RDWR)
    static let truncate = UInt32(O_TRUNC)
    static let append = UInt32(O_APPEND)
    static let exclusive = UInt32(O_EXCL)
    static let direct = UInt32(0o40000)  // O_DIRECT
}
