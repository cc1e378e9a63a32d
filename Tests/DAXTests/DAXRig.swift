// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing

/// A directory and daemons of ours that share it through DAX windows, and guests that are reduced to their messages.
final class DAXRig {
    let share: String
    private let directory: TemporaryDirectory
    let windowMebibytes: Int

    init(windowMebibytes: Int = 64) throws {
        directory = try TemporaryDirectory(prefix: "dax-")
        share = directory.path + "/share"
        try Files.makeDirectories(share)
        self.windowMebibytes = windowMebibytes
    }

    /// Whether files of any size can be mapped here.
    static let isPossible = requirementsMet("DAXTests", .root, .passthrough)

    func daemon(_ options: [String] = []) throws -> DaemonProcess {
        var configuration = DaemonConfiguration(tag: "dax", directory: share)
        configuration.windowMebibytes = windowMebibytes
        configuration.options = ["--dax-min-size=1"] + options
        return try DaemonProcess(configuration)
    }

    func guest(_ options: [String] = [], announces: Bool = false) throws -> DAXGuest {
        try DAXGuest(try daemon(options), announces: announces)
    }

    // MARK: The host's side

    func path(_ name: String) -> String { share + "/" + name }

    /// Bytes that tell their place: no two pages are alike.
    static func bytes(_ count: Int, seed: Int = 0) -> [UInt8] {
        // A prime number, so that the block begins elsewhere in each page.
        let block = (0..<8191).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 5 &+ seed &+ 1) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes += block.prefix(count - bytes.count) }
        return bytes
    }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> [UInt8] {
        let path = path(name)
        let file = OwnedDescriptor(
            adopting: try systemCall { open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o644) })
        try Files.writeAll(file.rawValue, bytes)
        return bytes
    }

    /// Writes into a file that is there.
    func write(_ name: String, _ bytes: [UInt8], at offset: Int) throws {
        let path = path(name)
        let file = OwnedDescriptor(adopting: try systemCall { open(path, O_WRONLY | O_CLOEXEC) })
        let number = file.rawValue
        let count = try systemCall { pwrite(number, bytes, bytes.count, off_t(offset)) }
        try #require(count == bytes.count)
    }

    func read(_ name: String) throws -> [UInt8] { try Files.read(path(name)) }

    func truncate(_ name: String, to size: Int) throws {
        let path = path(name)
        _ = try systemCall { Glibc.truncate(path, size) }
    }

    /// Everything that mapping a file must leave as it is.
    struct Untouched: Equatable {
        var size: UInt64
        var blocks: UInt64
        var times: [Int64]
        var attributes: [UInt8]
        var bytes: [UInt8]
    }

    func untouched(_ name: String) throws -> Untouched {
        let path = path(name)
        let file = OwnedDescriptor(adopting: try systemCall { open(path, O_RDONLY | O_CLOEXEC | O_NOATIME) })
        let raw = try FileStatus(of: file.rawValue).raw
        var names = [UInt8](repeating: 0, count: 4096)
        let count = try names.withUnsafeMutableBytes { all in
            try listAttributes(path, into: all)
        }
        var bytes = [UInt8](repeating: 0, count: Int(raw.stx_size))
        let number = file.rawValue
        let length = bytes.count
        _ = try systemCall { pread(number, &bytes, length, 0) }
        return Untouched(
            size: raw.stx_size, blocks: raw.stx_blocks,
            times: [raw.stx_mtime, raw.stx_ctime].flatMap { [Int64($0.tv_sec), Int64($0.tv_nsec)] },
            attributes: Array(names[..<count]), bytes: bytes)
    }
}

/// A guest with a window.
final class DAXGuest {
    let daemon: DaemonProcess
    let frontend: DeviceFrontend
    let client: FuseClient
    let window: SharedMemoryWindow
    private let channel: ChannelThread

    static let piece = Int(FuseClient.mappingByteCount)

    /// - Parameter announces: tells the daemon of what is mapped, as QEMU does.
    init(_ daemon: DaemonProcess, announces: Bool) throws {
        self.daemon = daemon
        var options = FrontendOptions()
        options.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
        options.announcesPieces = announces
        options.bufferCount = 1
        frontend = try DeviceFrontend(connectingTo: daemon.socketPath, options: options)
        window = try #require(frontend.windows[SharedMemoryWindows.cacheID])
        channel = try #require(try ChannelThread(frontend))
        client = FuseClient(frontend)
        client.timeout = 20_000
        _ = try client.initialize(flags: FuseClient.linuxFlags | FuseClient.daxFlags)
    }

    /// Nothing went wrong on the daemon's channel.
    var isWell: Bool { channel.failure == nil && daemon.process.end == nil }
    var refusals: Int { channel.refusals }

    func lookup(_ name: String) throws -> EntryOut { try client.lookup(.root, Array(name.utf8)) }

    /// Looks a file up and maps all of it, and so many pieces at least, from the window's place `first` on.
    @discardableResult
    func map(_ name: String, at first: Int = 0, pieces: Int = 1) throws -> NodeID {
        let entry = try lookup(name)
        let node = NodeID(rawValue: entry.nodeID)
        let count = max(pieces, (Int(entry.attributes.size) + Self.piece - 1) / Self.piece)
        for number in 0..<count {
            try client.setupMapping(
                node, fileOffset: UInt64(number * Self.piece),
                windowOffset: UInt64((first + number) * Self.piece))
        }
        return node
    }

    func read(_ offset: Int, _ count: Int) throws -> [UInt8] {
        try window.readBytes(UInt64(offset), count: count)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        try bytes.withUnsafeBytes { source in try window.write(source, at: UInt64(offset)) }
    }
}
