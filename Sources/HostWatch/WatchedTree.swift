// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// The shared directory and what is mounted below it: what the kernel is asked to tell of, and what handles are looked up in.
final class WatchedTree: HostSource {
    private let mounts: [WatchedMount]
    private var buffer = [UInt64](repeating: 0, count: Int(VFS_CHANGE_BYTES) / 8)
    private let path: [UInt8]
    private let monitor: MountMonitor
    private let group: OwnedDescriptor
    let root: FileHandle
    let key: FileKey

    /// - Parameter directory: the shared directory or file, O_PATH.
    init(_ directory: Int32) throws(Refusal) {
        let path = try Self.attempt([]) { () throws(Errno) in try linkTarget(directory) }
        self.path = path
        monitor = try Self.attempt(path) { () throws(Errno) in try MountMonitor(below: path) }
        let first = try Self.attempt(path) { () throws(Errno) in
            try WatchedMount(openReadable(directory), at: path)
        }
        (root, key) = try Self.attempt(path) { () throws(Errno) in
            let number = first.descriptor.rawValue
            return (try first.handle(), FileKey(try FileStatus(of: number)))
        }
        try Self.check(first)
        var mounts = [first]
        for mount in monitor.list.mounts {
            if let opened = try Self.open(mount) { mounts.append(opened) }
        }
        self.mounts = mounts
        group = try Self.makeGroup(mounts, path)
    }

    /// nil: nothing happens there.
    private static func open(_ mount: MountList.Mount) throws(Refusal) -> WatchedMount? {
        // What it waits for has not been mounted.
        if mount.type == "autofs" { return nil }
        let opened = try attempt(mount.path) { () throws(Errno) -> WatchedMount? in
            let name = mount.path.map { CChar(bitPattern: $0) } + [0]
            let place = OwnedDescriptor(
                adopting: try systemCall { unsafe Glibc.open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC) })
            let status = try FileStatus(of: place.rawValue)
            // Another one has been mounted over it; or a device, which might notice that it is opened.
            guard status.mount == mount.id, [FileType.directory, FileType.regular].contains(status.type)
            else { return nil }
            return try WatchedMount(openReadable(place.rawValue), at: mount.path)
        }
        if let opened { try check(opened) }
        return opened
    }

    /// A file system may have handles that only tell objects apart.
    private static func check(_ mount: WatchedMount) throws(Refusal) {
        let handle = try attempt(mount.path) { () throws(Errno) in try mount.handle() }
        guard let number = mount.open(handle) else {
            throw Refusal(
                subject: escaped(mount.path),
                reason: "its files cannot be opened by handle (\(describe(Errno(rawValue: errno))))")
        }
        _ = OwnedDescriptor(adopting: number)
    }

    private static func attempt<Result: ~Copyable>(
        _ path: [UInt8], _ step: () throws(Errno) -> Result
    ) throws(Refusal) -> Result {
        do throws(Errno) { return try step() } catch {
            throw Refusal(subject: escaped(path), reason: describe(error))
        }
    }

    // MARK: Events

    var descriptor: Int32 { group.rawValue }
    var knowsProcesses: Bool { true }

    /// The group that tells of changes in all of it.
    private static func makeGroup(_ mounts: [WatchedMount], _ path: [UInt8]) throws(Refusal)
        -> OwnedDescriptor
    {
        var hasObjects: Int32 = 0
        let group = try attempt(path) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { unsafe vfs_change_group(&hasObjects) })
        }
        let (number, has) = (group.rawValue, hasObjects)
        for mount in mounts {
            let file = mount.descriptor.rawValue
            _ = try attempt(mount.path) { () throws(Errno) in
                try systemCall { vfs_change_add(number, file, has) }
            }
        }
        return group
    }

    func take() -> [WatchEvent] {
        let number = group.rawValue
        return unsafe buffer.withUnsafeMutableBytes { bytes in
            let count = unsafe read(number, bytes.baseAddress, bytes.count)
            return count > 0
                ? unsafe WatchEvent.all(in: UnsafeRawBufferPointer(rebasing: bytes.prefix(count))) : []
        }
    }

    func hasNewMount() -> Bool { monitor.hasNewMount() }

    // MARK: Handles

    func find(_ object: FileHandle) -> FoundObject? {
        for mount in mounts where mount.fileSystem == object.fileSystem {
            guard let number = mount.open(object) else { continue }
            let file = OwnedDescriptor(adopting: number)
            if let status = try? FileStatus(of: file.rawValue) { return FoundObject(status) }
        }
        return nil
    }

    func find(_ name: [UInt8], in directory: FileHandle) -> FoundObject? {
        for mount in mounts where mount.fileSystem == directory.fileSystem {
            guard let number = mount.open(directory) else { continue }
            let parent = OwnedDescriptor(adopting: number)
            let text = name.map { CChar(bitPattern: $0) } + [0]
            if let status = unsafe try? FileStatus(parent.rawValue, text) { return FoundObject(status) }
        }
        return nil
    }

    /// A file system may be mounted in several places, of which one is below.
    func isBelow(_ directory: FileHandle) -> Bool? {
        var isThere = false
        for mount in mounts where mount.fileSystem == directory.fileSystem {
            guard let number = mount.open(directory) else { continue }
            isThere = true
            if leadsUpToRoot(OwnedDescriptor(adopting: number)) { return true }
        }
        return isThere ? false : nil
    }

    /// By "..", as the kernel goes: not past the root of the mount where the directory is not below that.
    private func leadsUpToRoot(_ start: consuming OwnedDescriptor) -> Bool {
        var current = start
        guard var here = (try? FileStatus(of: current.rawValue)).map({ FileKey($0) }) else { return false }
        for _ in 0..<Self.maximumDepth {
            if here == key { return true }
            let child = current.rawValue
            let flags = O_PATH | O_DIRECTORY | O_CLOEXEC
            guard let number = try? systemCall({ unsafe openat(child, "..", flags) }) else { return false }
            current = OwnedDescriptor(adopting: number)
            guard let above = (try? FileStatus(of: number)).map({ FileKey($0) }), above != here else {
                return false
            }
            here = above
        }
        return false
    }

    private static let maximumDepth = 10_000
}

extension FoundObject {
    init(_ status: FileStatus) { self.init(key: FileKey(status), links: status.raw.stx_nlink) }
}
