// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Whole-file helpers for programs at their start; nothing of the request path uses them.
package enum Files {
    /// All bytes of the file at `path`.
    package static func read(_ path: String) throws(Errno) -> [UInt8] {
        let file = OwnedDescriptor(adopting: try systemCall { unsafe open(path, O_RDONLY | O_CLOEXEC) })
        return try readAll(file.rawValue)
    }

    /// The rest of what `descriptor` gives, to its end.
    package static func readAll(_ descriptor: Int32) throws(Errno) -> [UInt8] {
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = try systemCall { unsafe Glibc.read(descriptor, &chunk, chunk.count) }
            if count == 0 { return result }
            result += chunk[..<count]
        }
    }

    /// All of a regular or memory file, whatever its offset is.
    package static func readAllFromStart(_ descriptor: Int32) throws(Errno) -> [UInt8] {
        _ = try systemCall { lseek(descriptor, 0, SEEK_SET) }
        return try readAll(descriptor)
    }

    /// The file as text; bytes that are not UTF-8 become U+FFFD.
    package static func text(_ path: String) throws(Errno) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    /// Makes the file at `path` hold `bytes`, all or nothing: a reader sees the old file or the whole new one.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(Errno) {
        let temporary = "\(path).\(gettid()).tmp"  // threads may do this at the same time
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let file = OwnedDescriptor(adopting: try systemCall { unsafe open(temporary, flags, 0o644) })
        do throws(Errno) {
            try writeAll(file.rawValue, bytes)
            _ = try systemCall { unsafe rename(temporary, path) }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    /// Writes every byte; blocks where the descriptor does.
    package static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try systemCall {
                unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Makes the directory and those above it; one that exists is no error.
    package static func makeDirectories(_ path: String) throws(Errno) {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            prefix += (prefix.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            do throws(Errno) { _ = try systemCall { unsafe mkdir(prefix, 0o755) } } catch {
                if error != .EEXIST { throw error }
            }
        }
    }

    /// The names in a directory without "." and "..", in no order; names that are not UTF-8 are left out.
    package static func names(in path: String) throws(Errno) -> [String] {
        guard let stream = unsafe opendir(path) else { throw Errno(rawValue: errno) }
        defer { unsafe closedir(stream) }
        var result: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                // SAFETY: d_name is NUL-terminated within the entry that readdir returned.
                unsafe String(validatingCString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if let name, name != ".", name != ".." { result.append(name) }
        }
        return result
    }

    /// What tells this file from another or from an earlier version of it: device, inode, size, modification time.
    package static func identity(_ path: String) throws(Errno) -> String {
        var status = stat()
        _ = try systemCall { unsafe stat(path, &status) }
        let time = status.st_mtim
        return "\(status.st_dev):\(status.st_ino):\(status.st_size):\(time.tv_sec).\(time.tv_nsec)"
    }

    package static func isReadable(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }

    package static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// A program by name in PATH, or `name` itself if it is a path; nil when there is no such executable.
    package static func program(_ name: String, alsoIn directories: [String] = []) -> String? {
        if name.contains("/") { return unsafe access(name, X_OK) == 0 ? name : nil }
        let path = environmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
        let candidates = path.split(separator: ":").map(String.init) + directories
        return candidates.map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 && !isDirectory($0) }
    }

    /// The path of the program we are.
    package static func ownProgram() throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try systemCall { unsafe readlink("/proc/self/exe", &buffer, buffer.count) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}

/// A variable of our environment.
package func environmentVariable(_ name: String) -> String? {
    // SAFETY: getenv returns NULL or a C string; this process never changes its environment.
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
}

/// A new directory for files of this process, removed with all files in it when its owner ends.
package final class TemporaryDirectory: Sendable {
    package let path: String

    /// `parent` nil: where this machine has temporary files.
    package init(prefix: String, in parent: String? = nil) throws(Errno) {
        let folder = parent ?? environmentVariable("TMPDIR") ?? "/tmp"
        var template = Array("\(folder)/\(prefix)XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { removeTree(path) }
}

/// Removes a directory of ours and all in it; what is a link is removed and not followed.
private func removeTree(_ path: String) {
    for name in (try? Files.names(in: path)) ?? [] {
        if unsafe unlink("\(path)/\(name)") != 0 && errno == EISDIR { removeTree("\(path)/\(name)") }
    }
    _ = unsafe rmdir(path)
}
