// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A small directory tree to share, of a kind that an enemy would prepare, beside what no guest may reach.
final class FuzzTree {
    let share: String
    private let parent: String
    private var outside: String { parent + "/outside" }
    private let shareDescriptor: OwnedDescriptor

    init() throws(Errno) {
        let base = getenv("VFS_FUZZ_DIRECTORY").map { String(cString: $0) } ?? "/dev/shm"
        var template = Array("\(base)/virtiofs-fuzz.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        parent = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        share = parent + "/share"
        let (inside, beside) = (parent + "/share", parent + "/outside")
        _ = try systemCall { mkdir(inside, 0o755) }
        _ = try systemCall { mkdir(beside, 0o755) }
        shareDescriptor = OwnedDescriptor(
            adopting: try systemCall { open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
        try makeFile(AT_FDCWD, beside + "/secret", "nobody's business", 0o600)
        _ = try systemCall { mkdir(beside + "/sub", 0o777) }
        // Read but once, they would have a younger time of access than 1970.
        for path in [beside, beside + "/secret", beside + "/sub"] {
            let times = [timespec(), timespec(tv_sec: 1000, tv_nsec: 0)]
            _ = try systemCall { utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) }
        }
    }

    deinit {
        empty(shareDescriptor.rawValue)
        for name in ["/share", "/outside/sub", "/outside/secret", "/outside", ""] { remove(parent + name) }
    }

    /// Makes the shared tree what it is at the beginning.
    func reset() throws(Errno) {
        let root = shareDescriptor.rawValue
        empty(root)
        clearAttributes(root)
        fchown(root, geteuid(), getegid())
        fchmod(root, 0o755)
        try makeFile(root, "a", "hello, guest", 0o644)
        try makeFile(root, "s", "set-user-id", 0o6755)
        _ = try systemCall { mkdirat(root, "b", 0o2777) }
        try makeFile(root, "b/c", "", 0o600)
        _ = try systemCall { mkdirat(root, "b/d", 0o755) }
        for (target, name) in [
            ("a", "l"), ("../outside/secret", "e"), ("../outside", "o"), ("/", "r"), ("b", "m"),
        ] {
            _ = try systemCall { symlinkat(target, root, name) }
        }
        _ = try systemCall { mkfifoat(root, "p", 0o666) }
        // Where that is not allowed, the trees have none.
        mknodat(root, "z", S_IFCHR | 0o666, 0x105)
    }

    private func makeFile(_ directory: Int32, _ name: String, _ text: String, _ mode: mode_t) throws(Errno) {
        let file = OwnedDescriptor(
            adopting: try systemCall { openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600) })
        _ = try systemCall { write(file.rawValue, text, text.utf8.count) }
        _ = try systemCall { fchmod(file.rawValue, mode) }
    }

    /// A regular file directly in the shared directory, for the host's own use; nil where there is none.
    func openRegular(_ name: String) -> OwnedDescriptor? {
        let number = openat(
            shareDescriptor.rawValue, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(adopting: number)
        guard let status = try? FileStatus(of: file.rawValue), status.type == FileType.regular else {
            return nil
        }
        return file
    }

    // MARK: Looking

    /// What changes when something beside the shared directory is written, read, made or removed.
    func outsideStatus() throws(Errno) -> [[Int]] {
        try status([parent, outside, outside + "/secret", outside + "/sub"])
    }

    /// What changes when the shared tree does.
    func insideStatus() throws(Errno) -> [[Int]] {
        try status([share] + ["a", "s", "b", "b/c", "b/d", "l", "e", "p"].map { share + "/" + $0 })
            // Reading is no change.
            .map { Array($0.dropLast(2)) }
    }

    private func status(_ paths: [String]) throws(Errno) -> [[Int]] {
        var lines: [[Int]] = []
        for path in paths {
            var status = stat()
            _ = try systemCall { lstat(path, &status) }
            lines.append([
                Int(status.st_ino), Int(status.st_mode), Int(status.st_uid), Int(status.st_gid),
                Int(status.st_nlink), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                status.st_ctim.tv_sec, status.st_ctim.tv_nsec, status.st_atim.tv_sec, status.st_atim.tv_nsec,
            ])
        }
        return lines
    }

    // MARK: Emptying

    /// Removes everything below `directory`, without following anything.
    private func empty(_ directory: Int32) {
        for name in names(in: directory) {
            if unlinkat(directory, name, 0) == 0 || unlinkat(directory, name, AT_REMOVEDIR) == 0 { continue }
            let child = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            if child < 0 { continue }
            clearAttributes(child)
            fchmod(child, 0o700)
            empty(child)
            close(child)
            if unlinkat(directory, name, 0) != 0 { unlinkat(directory, name, AT_REMOVEDIR) }
        }
    }

    /// "Immutable" and the like keep an object from being changed; extended attributes of the root would stay.
    private func clearAttributes(_ object: Int32) {
        if let flags = try? inodeFlags(of: object), flags != 0 { try? setInodeFlags(of: object, to: 0) }
        var list = [CChar](repeating: 0, count: 65536)
        let count = flistxattr(object, &list, list.count)
        guard count > 0 else { return }
        for name in list[..<count].split(separator: 0) { fremovexattr(object, Array(name) + [0]) }
    }

    private func names(in directory: Int32) -> [[CChar]] {
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard let stream = fdopendir(copy) else { return [] }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name.0) { first in
                Array(UnsafeBufferPointer(start: first, count: strlen(first) + 1))
            }
            if name != [46, 0] && name != [46, 46, 0] { names.append(name) }
        }
        return names
    }
}
