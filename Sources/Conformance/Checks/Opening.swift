// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

let openFlagChecks: [Check] = [
    Check("openflags/O_NOFOLLOW", "open(2): ELOOP for a link in the last place, not before it", needs: []) {
        try make(.directory, "d")
        try store("data", in: "d/f")
        try expect(.symlink("d/f", "link"))
        try expect(.symlink("d", "way"))
        try expect(.open("link", O_RDONLY | O_NOFOLLOW), .ELOOP)
        try expect(.open("link", O_RDONLY))
        try expect(.open("way/f", O_RDONLY | O_NOFOLLOW))
        try expect(.open("way", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), .ENOTDIR)
    },
    Check("openflags/O_DIRECTORY", "open(2): ENOTDIR for everything else") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            let error: Errno = kind == .symbolicLink ? .ENOENT : .ENOTDIR
            try expect(.open("x", O_RDONLY | O_DIRECTORY | O_NONBLOCK), error)
            try expect(.unlink("x"))
        }
        try expect(.open(".", O_RDONLY | O_DIRECTORY))
    },
    Check("openflags/directories-are-not-written", "open(2): EISDIR for writing a directory", needs: []) {
        try make(.directory, "d")
        for flags in [O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_WRONLY | O_TRUNC] {
            try expect(.open("d", flags), .EISDIR)
        }
    },
    Check("openflags/O_PATH", "open(2): O_PATH names an object and does not open it") {
        try store("data", in: "f", mode: 0)
        try by(.stranger) {
            let file = try OpenFile("f", O_PATH)
            try expect(file.number, .kind(.regular), .size(4))
            try expect(.read(file), .EBADF)
            try expect(.fchmod(file.number, 0o600), .EBADF)
            file.close()
        }
        try expect(.symlink("nowhere", "link"))
        let link = try OpenFile("link", O_PATH | O_NOFOLLOW)
        try expect(link.number, .kind(.symbolicLink))
        link.close()
        let file = try OpenFile("f", O_PATH)
        try expect("read through /proc", gives: "data", try OpenFile(file.again, O_RDONLY).readText())
        try expect(.rename("f", "g"))
        try expect(file.number, .same(try status("g")))
        file.close()
    },
    Check("openflags/O_TRUNC", "open(2): empties a file that may be written, and only then") {
        try store("data", in: "f", mode: 0o644)
        try expect(.open("f", O_WRONLY | O_TRUNC), .EACCES, by: .stranger)
        try expect("f", .size(4))
        try expect(.open("f", O_RDWR | O_TRUNC))
        try expect("f", .size(0))
        try store("data", in: "f")
        try expect(.open("f", O_WRONLY | O_CREAT | O_TRUNC))
        try expect("f", .size(0))
    },
    Check("openflags/O_EXCL", "open(2): EEXIST for every name that is there, also a link to nowhere") {
        for kind in Kind.allCases {
            try make(kind, "x")
            try expect(.open("x", O_RDWR | O_CREAT | O_EXCL), .EEXIST)
            try expect(kind == .directory ? .rmdir("x") : .unlink("x"))
        }
    },
    Check(
        "openflags/create-through-a-link", "open(2): O_CREAT makes the target of a link to nowhere", needs: []
    ) {
        try expect(.symlink("target", "link"))
        let file = try OpenFile("link", O_WRONLY | O_CREAT)
        try file.write("data")
        file.close()
        try expect("target", holds: "data")
        try expect("link", .kind(.symbolicLink))
    },
    Check("openflags/O_SYNC", "open(2): O_SYNC and O_DSYNC files are written like others", needs: []) {
        for flags in [O_SYNC, O_DSYNC] {
            let file = try OpenFile("f", O_WRONLY | O_CREAT | O_TRUNC | flags)
            try file.write("synchronous")
            file.close()
            try expect("f", holds: "synchronous")
        }
    },
    Check("openflags/O_NOATIME", "open(2): O_NOATIME is the owner's") {
        try make(.regular, "f", mode: 0o666, owner: .owner)
        try expect(.open("f", O_RDONLY | O_NOATIME), by: .owner)
        try expect(.open("f", O_RDONLY | O_NOATIME), .EPERM, by: .stranger)
    },
    Check("openflags/F_GETFL", "fcntl(2): F_GETFL tells how a file was opened", needs: []) {
        for flags in [O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_NONBLOCK] {
            let file = try OpenFile("f", flags | O_CREAT)
            let seen = vfs_fcntl_int(file.number, F_GETFL, 0) & (O_ACCMODE | O_APPEND | O_NONBLOCK)
            try expect("F_GETFL", gives: openFlags(flags), openFlags(seen))
            file.close()
        }
    },
]

let synchronizationChecks: [Check] = [
    Check("sync/file", "fsync(2), fdatasync(2): of a written file", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(100_000))
        try expect(Call("fdatasync(f)") { fdatasync(file.number) })
        try file.write("more")
        try expect(Call("fsync(f)") { fsync(file.number) })
        try expect(Call("sync_file_range(f)") { sync_file_range(file.number, 0, 4096, 2) })
        let reader = try OpenFile("f", O_RDONLY)
        try expect(Call("fsync(f opened to read)") { fsync(reader.number) })
        file.close()
        reader.close()
    },
    Check("sync/directory", "fsync(2): of a directory", needs: []) {
        try make(.directory, "d")
        try store("", in: "d/f")
        let directory = try OpenFile("d", O_RDONLY | O_DIRECTORY)
        try expect(Call("fsync(d)") { fsync(directory.number) })
        try expect(Call("fdatasync(d)") { fdatasync(directory.number) })
        try expect(Call("syncfs(d)") { syncfs(directory.number) })
        directory.close()
    },
    Check("sync/path-descriptor", "fsync(2): EBADF for O_PATH", needs: []) {
        try store("", in: "f")
        let file = try OpenFile("f", O_PATH)
        try expect(Call("fsync(O_PATH)") { fsync(file.number) }, .EBADF)
        file.close()
    },
]

let inodeFlagChecks: [Check] = [
    Check("inodeflags/read", "ioctl_iflags(2): a plain file is neither immutable nor append-only", needs: [])
    {
        try store("", in: "f")
        for path in ["f", "."] as [Path] {
            let file = try OpenFile(path, O_RDONLY)
            do throws(Errno) {
                let flags = try inodeFlags(of: file.number)
                if flags & UInt32(FS_IMMUTABLE_FL | FS_APPEND_FL) != 0 { throw .EIO }
            } catch {
                if error == .EIO { throw Failure("\(path) is immutable or append-only") }
                throw Unsupported("no FS_IOC_GETFLAGS here (\(name(of: error)))")
            }
            file.close()
        }
    },
    Check("inodeflags/set", "ioctl_iflags(2): what was set is read, and obeyed", needs: [.root, .flags]) {
        try store("data", in: "f")
        let file = try OpenFile("f", O_RDWR)
        _ = try result(of: "FS_IOC_SETFLAGS") { () throws(Errno) in
            try setInodeFlags(of: file.number, to: UInt32(FS_APPEND_FL))
            return Int(try inodeFlags(of: file.number)) & Int(FS_APPEND_FL) == 0 ? -1 : 0
        }
        try expect(.truncate("f", 0), .EPERM)
        try expect(.unlink("f"), .EPERM)
        try expect(.open("f", O_WRONLY), .EPERM)
        try expect(.open("f", O_WRONLY | O_APPEND))
        _ = try result(of: "FS_IOC_SETFLAGS") { () throws(Errno) in
            try setInodeFlags(of: file.number, to: 0)
            return 0
        }
        file.close()
        try expect(.unlink("f"))
    },
]
