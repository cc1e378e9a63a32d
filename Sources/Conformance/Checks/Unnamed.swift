// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A file that has no name yet.
private func unnamed(_ flags: Int32 = O_RDWR, mode: mode_t = 0o640) throws -> OpenFile {
    let call = Call.open(".", flags | VFS_O_TMPFILE, mode)
    do throws(Errno) { return OpenFile(adopting: try call(), "(unnamed)") } catch {
        if error == .EOPNOTSUPP || error == .EISDIR { throw Unsupported("no O_TMPFILE here") }
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
}

let unnamedChecks: [Check] = [
    Check("tmpfile/has-no-name", "open(2): O_TMPFILE makes a file without a name", needs: []) {
        let file = try unnamed()
        try expect(file.number, .kind(.regular), .links(0), .mode(0o640), .size(0))
        try file.write("data")
        try expect("read", gives: "data", try file.readText(at: 0))
        let seen: [Path]
        do throws(Errno) { seen = try names(in: ".") } catch {
            throw Failure("the directory is not readable")
        }
        try expect("the directory", gives: [], seen)
        file.close()
    },
    Check("tmpfile/gets-a-name", "linkat(2): gives the file its first name", needs: []) {
        let file = try unnamed()
        try file.write("data")
        try expect(.linkat(file.again, "f", flags: AT_SYMLINK_FOLLOW))
        try expect("f", holds: "data")
        try expect("f", .links(1), .mode(0o640), .same(try status(of: file.number)))
        try file.write(" and more")
        try expect("f", holds: "data and more")
        try expect(.linkat(file.again, "f", flags: AT_SYMLINK_FOLLOW), .EEXIST)
        file.close()
    },
    Check("tmpfile/O_EXCL-keeps-it-nameless", "open(2): with O_EXCL the file never gets a name", needs: []) {
        let file = try unnamed(O_RDWR | O_EXCL)
        try expect(.linkat(file.again, "f", flags: AT_SYMLINK_FOLLOW), .ENOENT)
        file.close()
    },
    Check("tmpfile/owner-and-umask", "open(2): owner, group and umask as for other files") {
        try by(User.owner.with(umask: 0o027)) {
            let file = try unnamed(mode: 0o666)
            try expect(file.number, .uid(4001), .gid(4001), .mode(0o640))
            file.close()
        }
    },
    Check("tmpfile/needs-writing", "open(2): EINVAL for reading only, EACCES without the right to make files")
    {
        try unnamed().close()
        try expect(.open(".", O_RDONLY | VFS_O_TMPFILE), .EINVAL)
        try make(.directory, "d", mode: 0o755)
        try expect(.open("d", O_RDWR | VFS_O_TMPFILE), .EACCES, by: .stranger)
    },
]
