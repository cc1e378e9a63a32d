// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// What is open stays when its name goes.
let removedChecks: [Check] = [
    Check("removed/file-keeps-its-data", "unlink(2): an open file is there until it is closed") {
        try store("before", in: "f")
        let file = try OpenFile("f", O_RDWR)
        try expect(.unlink("f"))
        try expect("read of the removed file", gives: "before", try file.readText(at: 0))
        try file.write(" and after", at: 6)
        try file.synchronize()
        try expect("read of the removed file", gives: "before and after", try file.readText(at: 0))
        try file.truncate(3)
        try expect(file.number, .size(3), .links(0))
        file.close()
    },
    Check("removed/attributes-of-a-file", "fchmod(2), fchown(2), futimens(2): work on a removed open file") {
        try store("", in: "f")
        let file = try OpenFile("f", O_RDWR)
        try expect(.unlink("f"))
        try expect(.fchmod(file.number, 0o4711))
        try expect(file.number, .mode(0o4711), .links(0))
        try expect(.fchown(file.number, 4001, 4002))
        try expect(file.number, .uid(4001), .gid(4002))
        try expect(.utimensat(file.again, (Time(1000), Time(2000, nanoseconds: 7))))
        try expect(file.number, .modification(Time(2000, nanoseconds: 7)), .access(Time(1000)))
        file.close()
    },
    Check("removed/opens-again", "proc(5): /proc/self/fd leads to a removed file") {
        try store("data", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        try expect(.unlink("f"))
        let second = try OpenFile(file.again, O_RDWR)
        try second.write("DATA", at: 0)
        try expect("read", gives: "DATA", try file.readText(at: 0))
        file.close()
        try expect("read after the first is closed", gives: "DATA", try second.readText(at: 0))
        second.close()
    },
    Check("removed/gets-no-new-name", "linkat(2): ENOENT for a file whose last name is gone") {
        try store("data", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        try expect(.linkat(file.again, "g", flags: AT_SYMLINK_FOLLOW))
        try expect(file.number, .links(2))
        try expect(.unlink("f"))
        try expect(.unlink("g"))
        try expect(file.number, .links(0))
        try expect(.linkat(file.again, "h", flags: AT_SYMLINK_FOLLOW), .ENOENT)
        try expect(.lstat("h"), .ENOENT)
        file.close()
    },
    Check("removed/replaced-by-rename", "rename(2): what it replaces stays for those who have it open") {
        try store("old", in: "f")
        try store("new", in: "g")
        let file = try OpenFile("f", O_RDONLY)
        try expect(.rename("g", "f"))
        try expect("read of the replaced file", gives: "old", try file.readText(at: 0))
        try expect(file.number, .links(0))
        try expect("f", holds: "new")
        file.close()
    },
    Check("removed/name-is-free", "unlink(2): a new file of the name is another one") {
        try store("one", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        let before = try status(of: file.number)
        try expect(.unlink("f"))
        try store("two", in: "f")
        try expect(try status("f").inode != before.inode, "the new file has the inode of the open one")
        try expect("read", gives: "one", try file.readText(at: 0))
        file.close()
    },
    Check("removed/directory", "rmdir(2): an open directory is empty and takes no entries") {
        try make(.directory, "d")
        try make(.regular, "d/f")
        let directory = try OpenFile("d", O_RDONLY | O_DIRECTORY)
        try expect(.unlink("d/f"))
        try expect(.rmdir("d"))
        try expect(directory.number, .kind(.directory))
        let inside = directory.again
        try expect(.open(inside / "x", O_WRONLY | O_CREAT), .ENOENT)
        try expect(.mkdir(inside / "x"), .ENOENT)
        try expect(.symlink("t", inside / "x"), .ENOENT)
        try expect(.lstat(inside / "f"), .ENOENT)
        let left = try? names(in: inside)
        try expect(left == nil || left == [], "the removed directory lists \(left ?? [])")
        directory.close()
    },
    Check("removed/working-directory", "path_resolution(7): nothing is found in a removed working directory")
    {
        try make(.directory, "d")
        try expect(.chdir("d"))
        try expect(.rmdir("../d"))
        try expect(.stat("."))
        try expect(.open("x", O_WRONLY | O_CREAT), .ENOENT)
        try expect(.mkdir("x"), .ENOENT)
        try expect(.mkfifo("x"), .ENOENT)
        try expect(.lstat("x"), .ENOENT)
        try expect(
            Call("getcwd()") {
                var buffer = [CChar](repeating: 0, count: 4096)
                return unsafe getcwd(&buffer, buffer.count) == nil ? -1 : 0
            }, .ENOENT)
    },
]
