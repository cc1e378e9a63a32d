// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Testing

@testable import HostOS

@Suite struct FilesTests {
    @Test func replaceIsWholeAndLeavesNothingBeside() throws {
        let directory = try TemporaryDirectory(prefix: "files-test-")
        let path = directory.path + "/a"
        try Files.replace(path, with: [1, 2, 3])
        let first = try Files.identity(path)
        try Files.replace(path, with: [4])
        #expect(try Files.read(path) == [4])
        #expect(try Files.identity(path) != first)
        #expect(try Files.names(in: directory.path) == ["a"])
        #expect(throws: Errno.ENOENT) { try Files.replace(directory.path + "/no/a", with: []) }
    }

    @Test func makeDirectories() throws {
        let directory = try TemporaryDirectory(prefix: "files-test-")
        let path = directory.path + "/a/b/c"
        try Files.makeDirectories(path)
        try Files.makeDirectories(path)
        #expect(Files.isDirectory(path))
        try Files.replace(path + "/file", with: [])
        #expect(throws: Errno.ENOTDIR) { try Files.makeDirectories(path + "/file/d") }
    }

    @Test func temporaryDirectoryTakesAllAlongButFollowsNoLink() throws {
        let outside = try TemporaryDirectory(prefix: "files-test-")
        try Files.replace(outside.path + "/kept", with: [1])
        var path = ""
        do {
            let directory = try TemporaryDirectory(prefix: "files-test-")
            path = directory.path
            try Files.makeDirectories(path + "/a/b")
            try Files.replace(path + "/a/b/c", with: [1])
            symlink(outside.path, path + "/a/link")
        }
        #expect(!Files.isDirectory(path))
        #expect(try Files.read(outside.path + "/kept") == [1])
    }

    @Test func programs() throws {
        #expect(Files.program("sh")?.hasSuffix("/sh") == true)
        #expect(Files.program("/bin/sh") == "/bin/sh")
        #expect(Files.program("/etc/passwd") == nil)
        #expect(Files.program("no-such-program-anywhere") == nil)
    }

    @Test func missingFiles() {
        #expect(throws: Errno.ENOENT) { try Files.read("/nonexistent") }
        #expect(throws: Errno.ENOENT) { try Files.identity("/nonexistent") }
        #expect(throws: Errno.ENOENT) { try Files.names(in: "/nonexistent") }
        #expect(!Files.isReadable("/nonexistent"))
    }
}
