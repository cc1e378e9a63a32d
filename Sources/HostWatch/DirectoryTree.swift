// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// The shared directory by inotify(7): a watch of each directory below it. For hosts that allow no marks of file systems, such as
/// containers.
///
/// Events name a directory and a name in it, so it remembers which inode each name means: what is removed is told of that.
final class DirectoryTree: HostSource {
    struct Directory {
        let key: FileKey
        /// nil: the shared one.
        var parent: Int32?
        var name: [UInt8]
        /// What each name in it means, by its hash; of directories too.
        var inodes: [Int: UInt64] = [:]
    }

    let path: [UInt8]
    let root: FileHandle
    private let rootDescriptor: Int32
    private let monitor: MountMonitor
    private var queue: OwnedDescriptor
    var directories: [Int32: Directory] = [:]
    /// Watches of directories that have been moved away, until it is seen where to.
    var moved: [UInt32: Int32] = [:]
    /// The cookies that were there when the last events were taken.
    private var oldMoves: Set<UInt32> = []

    var descriptor: Int32 { queue.rawValue }
    var knowsProcesses: Bool { false }

    /// - Parameter directory: the shared directory, O_PATH; it stays the caller's.
    init(_ directory: Int32) throws(Refusal) {
        let path: [UInt8]
        do throws(Errno) {
            path = try linkTarget(directory)
            guard try FileStatus(of: directory).type == FileType.directory else { throw .ENOTDIR }
            monitor = try MountMonitor(below: path)
            queue = try Self.makeQueue()
            root = Self.handle(FileKey(try FileStatus(of: directory)))
        } catch {
            throw Refusal(subject: "the shared directory", reason: describe(error))
        }
        self.path = path
        rootDescriptor = directory
        if let mount = monitor.list.mounts.first(where: { Self.isSilent($0.type) }) {
            throw Refusal(
                subject: escaped(mount.path),
                reason: "the kernel does not tell of all changes in \(mount.type)")
        }
        try walk()
    }

    /// What others change there nobody hears of.
    private static func isSilent(_ type: String) -> Bool {
        type.hasPrefix("fuse")
            || [
                "proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "nfs", "nfs4", "9p", "virtiofs",
                "cifs", "smb3", "ceph",
            ].contains(type)
    }

    private static func makeQueue() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(
            adopting: try systemCall { inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC)) })
    }

    func hasNewMount() -> Bool { monitor.hasNewMount() }

    // MARK: Watches

    private static let mask = UInt32(
        IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

    private func walk() throws(Refusal) {
        do throws(Errno) {
            try watch(try duplicate(rootDescriptor), nil, []) { _ in }
        } catch {
            throw refusal(error)
        }
    }

    private func refusal(_ error: Errno) -> Refusal {
        Refusal(
            subject: escaped(path),
            reason: error == .ENOSPC
                ? "it has more directories than this user may watch (fs.inotify.max_user_watches)"
                : describe(error))
    }

    /// Watches a directory and all below it, and says what it has found there.
    ///
    /// First the watch, then a look: what comes later is an event.
    private func watch(
        _ directory: consuming OwnedDescriptor, _ parent: Int32?, _ name: [UInt8],
        _ found: (WatchEvent) -> Void
    ) throws(Errno) {
        // Deep trees take no stack, and one descriptor for each level of one path at most.
        var pending: [(number: Int32, parent: Int32?, name: [UInt8])] = [(directory.release(), parent, name)]
        defer { for one in pending { _ = close(one.number) } }
        while let next = pending.popLast() {
            let place = OwnedDescriptor(adopting: next.number)
            let key = FileKey(try FileStatus(of: next.number))
            let link = "/proc/self/fd/\(next.number)"
            let queue = queue.rawValue
            let watch: Int32
            do throws(Errno) {
                watch = try systemCall { unsafe inotify_add_watch(queue, link, Self.mask) }
            } catch .ENOSPC { throw .ENOSPC } catch { continue }
            if directories[watch] != nil {
                // It has come back, or has two names by way of a mount.
                directories[watch]?.parent = next.parent
                directories[watch]?.name = next.name
                continue
            }
            directories[watch] = Directory(key: key, parent: next.parent, name: next.name)
            for entry in (try? Self.entries(of: next.number)) ?? [] {
                directories[watch]?.inodes[entry.name.hashValue] = entry.inode
                found(
                    WatchEvent(
                        [.created, .modified],
                        object: Self.handle(FileKey(device: key.device, number: entry.inode)),
                        at: .init(Self.handle(key), entry.name)))
                if !entry.mayBeDirectory { continue }
                if let child = Self.open(entry.name, in: next.number) {
                    pending.append((child, watch, entry.name))
                }
            }
            _ = consume place
        }
    }

    private static func open(_ name: [UInt8], in directory: Int32) -> Int32? {
        let text = name.map { CChar(bitPattern: $0) } + [0]
        let flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        return try? systemCall { unsafe openat(directory, text, flags) }
    }

    private struct Entry {
        let name: [UInt8]
        let inode: UInt64
        let mayBeDirectory: Bool
    }

    private static func entries(of directory: Int32) throws(Errno) -> [Entry] {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let number = try systemCall { unsafe openat(directory, ".", flags) }
        guard let stream = unsafe fdopendir(number) else {
            _ = close(number)
            throw .ENOMEM
        }
        defer { unsafe closedir(stream) }
        var result: [Entry] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe Array(bytes.prefix { $0 != 0 })
            }
            if name == [UInt8(ascii: ".")] || name == Array("..".utf8) { continue }
            let type = unsafe Int32(entry.pointee.d_type)
            result.append(
                Entry(
                    name: name, inode: unsafe UInt64(entry.pointee.d_ino),
                    mayBeDirectory: type == Int32(DT_DIR) || type == Int32(DT_UNKNOWN)))
        }
        return result
    }

    // MARK: Events

    func take() throws(Refusal) -> [WatchEvent] {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let number = queue.rawValue
        let count = unsafe read(number, &buffer, buffer.count)
        let notices = count > 0 ? Notice.all(in: buffer[..<count]) : []
        if notices.contains(where: \.isLoss) { return try begin() }
        var events: [WatchEvent] = []
        do throws(Errno) {
            for notice in notices { events += try turn(notice) }
        } catch {
            throw refusal(error)
        }
        forgetMovedAway()
        return events
    }

    /// Once more from the beginning: which directories there are is not known any more.
    private func begin() throws(Refusal) -> [WatchEvent] {
        do throws(Errno) { queue = try Self.makeQueue() } catch { throw refusal(error) }
        (directories, moved) = ([:], [:])
        try walk()
        return [WatchEvent(.lost)]
    }

    /// Opens a watched directory, if it still is where it was. O_PATH.
    func openDirectory(_ watch: Int32) -> OwnedDescriptor? {
        var names: [[UInt8]] = []
        var current: Int32? = watch
        while let number = current {
            // One that is above has gone.
            guard let directory = directories[number] else { return nil }
            if directory.parent != nil { names.append(directory.name) }
            current = directory.parent
        }
        guard var place = try? duplicate(rootDescriptor) else { return nil }
        for name in names.reversed() {
            guard let next = Self.open(name, in: place.rawValue) else { return nil }
            place = OwnedDescriptor(adopting: next)
        }
        return place
    }

    func watchNew(_ name: [UInt8], in watch: Int32) throws(Errno) -> [WatchEvent] {
        guard let parent = openDirectory(watch), let number = Self.open(name, in: parent.rawValue) else {
            return []
        }
        var events: [WatchEvent] = []
        try self.watch(OwnedDescriptor(adopting: number), watch, name) { events.append($0) }
        return events
    }

    /// What has been moved and not come again by the time of the next events is outside.
    private func forgetMovedAway() {
        for (cookie, watch) in moved where oldMoves.contains(cookie) {
            moved[cookie] = nil
            forget(watch)
        }
        oldMoves = Set(moved.keys)
    }

    private func forget(_ watch: Int32) {
        var pending = [watch]
        while let next = pending.popLast() {
            pending += directories.filter { $0.value.parent == next }.keys
            directories[next] = nil
            _ = inotify_rm_watch(queue.rawValue, next)
        }
    }

    // MARK: Handles

    /// There are none: an object is what its inode number says.
    static func handle(_ key: FileKey) -> FileHandle {
        func bytes(_ word: UInt64) -> [UInt8] {
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
        }
        return FileHandle(bytes(0) + bytes(key.device) + bytes(key.number))
    }

    func find(_ object: FileHandle) -> FoundObject? {
        guard object.bytes.count == 24 else { return nil }
        func word(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(object.bytes[offset + $1]) << UInt64(8 * $1) }
        }
        return FoundObject(key: FileKey(device: word(8), number: word(16)), links: 1)
    }

    func find(_ name: [UInt8], in directory: FileHandle) -> FoundObject? { nil }

    func isBelow(_ directory: FileHandle) -> Bool? { true }
}
