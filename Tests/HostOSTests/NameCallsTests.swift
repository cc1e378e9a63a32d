// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Foundation
import Glibc
import HostOS
import Testing

@Suite struct NameCallsTests {
    /// A new directory for `body`, opened O_PATH, then removed.
    private func inDirectory(_ body: (Int32, String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "names.\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let directory = OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) })
        try body(directory.rawValue, path)
    }

    private func mode(_ directory: Int32, _ name: String) throws -> mode_t {
        var status = stat()
        _ = try systemCall { () -> Int32 in fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) }
        return status.st_mode & S_IFMT
    }

    @Test func objectsAreMadeAndRemoved() throws {
        try inDirectory { directory, _ in
            try makeDirectory(directory, "d", mode: 0o755)
            try makeNode(directory, "f", mode: S_IFREG | 0o600, device: 0)
            try makeNode(directory, "p", mode: S_IFIFO | 0o600, device: 0)
            try makeSymbolicLink(directory, "l", target: "no/where")
            #expect(try mode(directory, "d") == S_IFDIR)
            #expect(try mode(directory, "f") == S_IFREG)
            #expect(try mode(directory, "p") == S_IFIFO)
            #expect(try mode(directory, "l") == S_IFLNK)
            #expect(throws: Errno.EEXIST) { try makeDirectory(directory, "f", mode: 0o755) }
            #expect(throws: Errno.ENOTDIR) { try removeName(directory, "f", ofDirectory: true) }
            #expect(throws: Errno.EISDIR) { try removeName(directory, "d") }
            try removeName(directory, "d", ofDirectory: true)
            for name in ["f", "p", "l"] { try removeName(directory, name) }
            #expect(throws: Errno.ENOENT) { try removeName(directory, "f") }
        }
    }

    @Test func namesMove() throws {
        try inDirectory { directory, _ in
            try makeNode(directory, "a", mode: S_IFREG | 0o600, device: 0)
            try makeDirectory(directory, "b", mode: 0o755)
            #expect(throws: Errno.EEXIST) {
                try renameName(directory, "a", to: directory, "b", flags: UInt32(RENAME_NOREPLACE))
            }
            try renameName(directory, "a", to: directory, "b", flags: UInt32(RENAME_EXCHANGE))
            #expect(try mode(directory, "a") == S_IFDIR)
            try renameName(directory, "b", to: directory, "c", flags: 0)
            #expect(try mode(directory, "c") == S_IFREG)
        }
    }

    @Test func aLinkIsMadeToWhatADescriptorIs() throws {
        try inDirectory { directory, path in
            try makeSymbolicLink(directory, "l", target: "no/where")
            let link = OwnedDescriptor(
                adopting: try systemCall { () -> Int32 in
                    openat(directory, "l", O_PATH | O_NOFOLLOW | O_CLOEXEC)
                })
            try makeLink(to: "/proc/self/fd/\(link.rawValue)", in: directory, "m")
            #expect(try mode(directory, "m") == S_IFLNK)
            var target = [UInt8](repeating: 0, count: 5)
            let count = try target.withUnsafeMutableBytes { try readSymbolicLink(link.rawValue, into: $0) }
            #expect(count == 5 && target == Array("no/wh".utf8))
            #expect(throws: Errno.EINVAL) {
                _ = try readSymbolicLink(
                    link.rawValue, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
            }
        }
    }

    @Test func attributesOfEveryTypeGoThroughProc() throws {
        try inDirectory { directory, _ in
            try makeDirectory(directory, "d", mode: 0o755)
            let object = OwnedDescriptor(
                adopting: try systemCall { () -> Int32 in
                    openat(directory, "d", O_PATH | O_NOFOLLOW | O_CLOEXEC)
                })
            let path = "/proc/self/fd/\(object.rawValue)"
            let none = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            let value: [UInt8] = [1, 2, 3]
            let create: Int32 = 1  // XATTR_CREATE
            try value.withUnsafeBytes { try setAttribute(path, "user.x", to: $0, flags: create) }
            #expect(throws: Errno.EEXIST) {
                try value.withUnsafeBytes { try setAttribute(path, "user.x", to: $0, flags: create) }
            }
            #expect(try getAttribute(path, "user.x", into: none) == 3)
            var read = [UInt8](repeating: 0, count: 3)
            #expect(try read.withUnsafeMutableBytes { try getAttribute(path, "user.x", into: $0) } == 3)
            #expect(read == value)
            var short = [UInt8](repeating: 0, count: 2)
            #expect(throws: Errno.ERANGE) {
                _ = try short.withUnsafeMutableBytes { try getAttribute(path, "user.x", into: $0) }
            }
            #expect(try listAttributes(path, into: none) >= 7)  // "user.x" and its NUL
            try removeAttribute(path, "user.x")
            #expect(throws: Errno.ENODATA) { _ = try getAttribute(path, "user.x", into: none) }
        }
    }
}
