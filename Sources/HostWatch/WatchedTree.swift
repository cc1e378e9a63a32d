// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// The shared directory and what is mounted below it: what the kernel is asked to tell of, and what handles are looked up in.
final class WatchedTree: HandleResolver {
    /// Why something below the shared directory cannot be watched.
    struct Refusal: Error {
        let subject: String
        let reason: String
    }

    private var mounts: [WatchedMount] = []
    private let path: [UInt8]
    private let list: MountList
    private let mountInfo: OwnedDescriptor
    let root: FileHandle
    let key: FileKey

    /// - Parameter directory: the shared directory or file, O_PATH.
    init(_ directory: Int32) throws(Refusal) {
        let path = try Self.attempt([]) { () throws(Errno) in try linkTarget(directory) }
        self.path = path
        let info = try Self.attempt(path) { () throws(Errno) in
            OwnedDescriptor(
                adopting: try systemCall { unsafe open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) })
        }
        let infoNumber = info.rawValue
        mountInfo = info
        list = try Self.attempt(path) { () throws(Errno) in
            MountList(try Files.readAllFromStart(infoNumber), below: path)
        }
        let first = try Self.attempt(path) { () throws(Errno) in
            try WatchedMount(openReadable(directory), at: path)
        }
        mounts = [first]
        (root, key) = try Self.attempt(path) { () throws(Errno) in
            let number = first.descriptor.rawValue
            return (try first.handle(), FileKey(try FileStatus(of: number)))
        }
        try check(root, path)
        for mount in list.mounts { try add(mount) }
    }

    private func add(_ mount: MountList.Mount) throws(Refusal) {
        // What it waits for has not been mounted.
        if mount.type == "autofs" { return }
        let opened = try Self.attempt(mount.path) { () throws(Errno) -> WatchedMount? in
            let name = mount.path.map { CChar(bitPattern: $0) } + [0]
            let place = OwnedDescriptor(
                adopting: try systemCall { unsafe open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC) })
            let status = try FileStatus(of: place.rawValue)
            // Another one has been mounted over it; or a device, which might notice that it is opened.
            guard status.mount == mount.id, [FileType.directory, FileType.regular].contains(status.type)
            else { return nil }
            return try WatchedMount(openReadable(place.rawValue), at: mount.path)
        }
        guard let opened else { return }
        let its = try Self.attempt(mount.path) { () throws(Errno) in try opened.handle() }
        mounts.append(opened)
        try check(its, mount.path)
    }

    /// A file system may have handles that only tell objects apart.
    private func check(_ handle: FileHandle, _ path: [UInt8]) throws(Refusal) {
        if let number = mounts.last?.open(handle) {
            _ = OwnedDescriptor(adopting: number)
            return
        }
        throw Refusal(
            subject: escaped(path),
            reason: "its files cannot be opened by handle (\(describe(Errno(rawValue: errno))))")
    }

    private static func attempt<Result: ~Copyable>(
        _ path: [UInt8], _ step: () throws(Errno) -> Result
    ) throws(Refusal) -> Result {
        do throws(Errno) { return try step() } catch {
            throw Refusal(subject: escaped(path), reason: describe(error))
        }
    }

    // MARK: Events

    /// Makes the group that tells of changes in all of it.
    func makeGroup() throws(Refusal) -> OwnedDescriptor {
        var hasObjects: Int32 = 0
        let group = try Self.attempt(path) { () throws(Errno) in
            OwnedDescriptor(adopting: try systemCall { unsafe vfs_change_group(&hasObjects) })
        }
        let (number, has) = (group.rawValue, hasObjects)
        for mount in mounts {
            let file = mount.descriptor.rawValue
            _ = try Self.attempt(mount.path) { () throws(Errno) in
                try systemCall { vfs_change_add(number, file, has) }
            }
        }
        return group
    }

    /// Whether there is another mount below the shared directory than when this was made.
    func hasNewMount() -> Bool {
        var entry = pollfd(fd: mountInfo.rawValue, events: Int16(POLLPRI), revents: 0)
        guard unsafe poll(&entry, 1, 0) > 0, entry.revents & Int16(POLLPRI | POLLERR) != 0,
            let text = try? Files.readAllFromStart(mountInfo.rawValue)
        else { return false }
        let known = Set(list.mounts.map(\.id))
        return MountList(text, below: path).mounts.contains {
            !known.contains($0.id) && $0.type != "autofs"
        }
    }

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
