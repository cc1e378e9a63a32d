// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization

/// The fresh directory of one check: `work`, where it runs, and beside it what the frame itself needs.
struct Scratch {
    private static let count = Atomic<Int>(0)

    private let directory: Path

    /// Makes it in `parent` and enters it: the calling thread gets a working directory and umask of its own.
    init(in parent: Path) throws(Errno) {
        _ = try systemCall { unshare(CLONE_FS) }
        _ = umask(0)
        let number = Self.count.add(1, ordering: .relaxed).newValue
        directory = parent / "conformance.\(getpid()).\(number)"
        _ = try Call.mkdir(directory, 0o755)()
        _ = try Call.mkdir(directory / "work", 0o777)()
        // What the parent may have handed down: its group, and a list for new objects.
        _ = try Call.lchown(directory / "work", Int(geteuid()), Int(getegid()))()
        _ = unsafe (directory / "work").withPointer { unsafe removexattr($0, AccessList.standard) }
        _ = try Call.chmod(directory / "work", 0o777)()
        // Everyone's, so that a check can wait for the file system's clock as any user.
        _ = close(try Call.open(directory / "clock", O_WRONLY | O_CREAT, 0o666)())
        _ = try Call.chmod(directory / "clock", 0o666)()
        _ = try Call.chdir(directory / "work")()
    }

    /// Removes it with all that the check left.
    func remove() throws(Errno) {
        _ = try Call.chdir("/")()
        try removeTree(directory)
    }
}

/// Removes a directory and all in it. Immutable files become removable first; a link is removed and not followed.
private func removeTree(_ path: Path) throws(Errno) {
    _ = try? Call.chmod(path, 0o700)()
    for name in try names(in: path) {
        let entry = path / name
        do throws(Errno) { _ = try Call.unlink(entry)() } catch .EISDIR {
            try removeTree(entry)
        } catch .EPERM {
            clearFlags(path)
            clearFlags(entry)
            do throws(Errno) { _ = try Call.unlink(entry)() } catch .EISDIR { try removeTree(entry) }
        }
    }
    do throws(Errno) { _ = try Call.rmdir(path)() } catch .EPERM {
        clearFlags(path)
        _ = try Call.rmdir(path)()
    }
}

private func clearFlags(_ path: Path) {
    guard let number = try? Call.open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)() else { return }
    let descriptor = OwnedDescriptor(adopting: number)
    try? setRestrictions(of: descriptor.rawValue, to: 0)
}

/// The names in a directory without "." and "..", as bytes and in no order.
package func names(in path: Path) throws(Errno) -> [Path] {
    guard let stream = unsafe path.withPointer({ unsafe opendir($0) }) else { throw Errno(rawValue: errno) }
    defer { unsafe closedir(stream) }
    var result: [Path] = []
    while let entry = unsafe readdir(stream) {
        let bytes = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { name in
            // SAFETY: d_name is NUL-terminated within the entry that readdir returned.
            unsafe Array(name.prefix { $0 != 0 })
        }
        if bytes != Array(".".utf8) && bytes != Array("..".utf8) { result.append(Path(bytes)) }
    }
    return result
}
