// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

let openChecks: [Check] = [
    Check(
        "open/existing-file", "open(2): O_CREAT of a file that is there changes neither it nor its directory"
    ) {
        try make(file: "x", holding: [1, 2, 3], mode: 0o640, owner: .owner)
        try expect(.open("x", O_RDWR | O_CREAT, 0o777), moves: [(".", .none), ("x", .none)])
        try expect("x", .mode(0o640), .uid(4001), .size(3))
    },
    Check(
        "open/truncate",
        "open(2): O_TRUNC empties a file and marks its contents; nothing happens to its directory"
    ) {
        for flags in [O_WRONLY, O_RDWR] {
            for size in [0, 5] {
                try make(file: "x", holding: [UInt8](repeating: 7, count: size), mode: 0o600, owner: .owner)
                try expect(
                    .open("x", flags | O_TRUNC), by: .owner, moves: [("x", .contents), (".", .none)])
                try expect("x", .size(0), .mode(0o600), .uid(4001))
                discard("x")
            }
        }
    },
    Check("open/create-through-a-link", "open(2): O_CREAT through a dangling link makes what it leads to") {
        try expect(.symlink("x", "link"))
        try expect(.open("link", O_WRONLY | O_CREAT, 0o640))
        try expect("x", .kind(.regular), .mode(0o640))
        try expect("link", .kind(.symbolicLink))
    },
    Check("open/permissions", "EACCES: each class of users has the rights of its own bits only") {
        for (user, shift) in [(User.owner, UInt32(6)), (.member, 3), (.stranger, 0)] {
            for bits: UInt32 in 0...7 {
                // All others have the opposite.
                let mode = (bits << shift) | (~(0o7 << shift) & (bits & 4 == 0 ? 0o777 : 0))
                try make(.regular, "x", mode: mode, owner: .owner)
                for (flags, wanted) in [
                    (O_RDONLY, UInt32(4)), (O_WRONLY, 2), (O_RDWR, 6), (O_RDONLY | O_TRUNC, 6),
                    (O_WRONLY | O_TRUNC, 2),
                ] {
                    let allowed = bits & wanted == wanted
                    try when("mode \(octal(mode))") {
                        try expect(.open("x", flags), allowed ? nil : .EACCES, by: user)
                    }
                }
                discard("x")
            }
        }
    },
    Check("open/directory-permissions", "EACCES: reading a directory needs its read permission") {
        for (user, shift) in [(User.owner, UInt32(6)), (.member, 3), (.stranger, 0)] {
            for bits: UInt32 in 0...7 {
                try make(.directory, "d", mode: bits << shift, owner: .owner)
                let error: Errno? = bits & 4 == 4 ? nil : .EACCES
                try when("mode \(octal(bits << shift))") {
                    try expect(.open("d", O_RDONLY | O_DIRECTORY), error, by: user)
                }
                discard("d")
            }
        }
    },
    Check("open/denied-truncation-changes-nothing", "open(2): O_TRUNC that is refused leaves the contents") {
        try make(file: "x", holding: [1, 2, 3], mode: 0o444, owner: .owner)
        for user in [User.owner, .member, .stranger] {
            for flags in [O_WRONLY | O_TRUNC, O_RDWR | O_TRUNC, O_RDONLY | O_TRUNC] {
                try expect(.open("x", flags), .EACCES, by: user, moves: [("x", .none)])
                try expect("x", .size(3))
            }
        }
    },
    Check("open/root-passes", "capabilities(7): CAP_DAC_OVERRIDE opens what nobody may") {
        try make(.regular, "x", mode: 0, owner: .owner)
        for flags in [O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC] { try expect(.open("x", flags)) }
    },
    Check(
        "open/created-with-any-mode",
        "open(2): the mode of a new file does not limit the descriptor that made it"
    ) {
        for mode: mode_t in [0, 0o444, 0o200] {
            try by(.owner) {
                try opened("x", O_RDWR | O_CREAT | O_EXCL, mode: mode) { file in
                    try write(file, [5, 6], at: 0)
                    try expect("what was written", gives: [5, 6], try read(file, 9, at: 0))
                }
            }
            try expect("x", .mode(mode), .size(2))
            discard("x")
        }
    },
    Check("open/directory-for-writing", "EISDIR: a directory cannot be written, nor opened with O_CREAT") {
        try make(.directory, "d", mode: 0o777)
        for flags in [
            O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_RDWR | O_TRUNC, O_RDONLY | O_CREAT,
            O_WRONLY | O_CREAT,
        ] {
            try expect(.open("d", flags), .EISDIR, moves: [("d", .none)])
            try expect(.open("d", flags), .EISDIR, by: .stranger)
        }
    },
    Check("open/directory-only", "ENOTDIR: O_DIRECTORY of something else") {
        for kind in Kind.nonDirectories {
            try make(kind, "x")
            try expect(.open("x", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK), .ENOTDIR)
            try expect(.open("x/", O_RDONLY | O_NONBLOCK), kind == .symbolicLink ? .ENOENT : .ENOTDIR)
            discard("x")
        }
    },
    Check("open/no-follow", "ELOOP: O_NOFOLLOW of a symbolic link, wherever it leads") {
        try make(.regular, "x")
        for target: Path in ["x", "none", "."] {
            try expect(.symlink(target, "link"))
            for flags in [O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_CREAT] {
                try expect(.open("link", flags | O_NOFOLLOW), .ELOOP)
            }
            try opened("link", O_PATH | O_NOFOLLOW) { try expect($0, .kind(.symbolicLink)) }
            discard("link")
        }
        try expect(.open("x", O_RDONLY | O_NOFOLLOW))
    },
    Check("open/fifo-without-reader", "ENXIO: a FIFO opened for writing without waiting, which nobody reads")
    {
        try make(.fifo, "x", mode: 0o666)
        try expect(.open("x", O_WRONLY | O_NONBLOCK), .ENXIO)
        try opened("x", O_RDONLY | O_NONBLOCK) { _ in try expect(.open("x", O_WRONLY | O_NONBLOCK)) }
        try expect(.open("x", O_WRONLY | O_NONBLOCK), .ENXIO)
        try expect(.open("x", O_RDWR))
    },
    Check("open/fifo-carries-bytes", "fifo(7): what one end writes the other reads, whoever opened them") {
        try make(.fifo, "x", mode: 0o666)
        try opened("x", O_RDONLY | O_NONBLOCK) { reader in
            try by(.stranger) {
                try opened("x", O_WRONLY) { writer in
                    let count = unsafe Glibc.write(writer, [UInt8]([4, 5, 6]), 3)
                    try expect("write(2)", gives: 3, count)
                }
            }
            var bytes = [UInt8](repeating: 0, count: 8)
            let count = unsafe Glibc.read(reader, &bytes, 8)
            try expect("read(2)", gives: 3, count)
            try expect("what was read", gives: [4, 5, 6], Array(bytes.prefix(3)))
        }
        try expect("x", .size(0))
    },
    Check("open/socket", "ENXIO: a socket is not opened but connected to") {
        try make(.socket, "x", mode: 0o777)
        for flags in [O_RDONLY, O_WRONLY, O_RDWR] { try expect(.open("x", flags), .ENXIO) }
    },
    Check(
        "open/device", "open(2): a device node leads to its device, or to nothing where devices are forbidden"
    ) {
        try make(.character, "x", mode: 0o666)
        guard (try? Call.open("x", O_RDWR)()) == nil else { return }
        try expect(.open("x", O_RDWR), oneOf: [.EACCES, .ENXIO])
    },
    Check("open/running-program", "ETXTBSY: a program that runs is not opened for writing") {
        try whileRunning("program") {
            for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC] {
                try expect(.open("program", flags), .ETXTBSY)
            }
            try expect(.open("program", O_RDONLY))
        }
        try expect(.open("program", O_RDWR))
    },
    Check("open/unnamed", "open(2): O_TMPFILE makes a file without a name, which linkat(2) can give") {
        let number = try unnamedFile()
        defer { _ = close(number) }
        try write(number, [1, 2], at: 0)
        try expect(number, .links(0), .mode(0o640), .size(2))
        try expect("the directory", gives: 0, names(in: ".").count)
        try expect(.linkat("/proc/self/fd/\(number)", "x", flags: AT_SYMLINK_FOLLOW))
        try expect("x", .links(1), .size(2), .mode(0o640))
        try expect("its contents", gives: [1, 2], try contents("x"))
    },
    Check("open/odd-names", "path_resolution(7): a name is any bytes but a slash and NUL") {
        let odd: [[UInt8]] = [
            [0xFF], [0x80, 0xFE, 0x01], [10], [32], Array("a b".utf8), [0x5C], Array("…".utf8), [0xC3, 0x28],
            [127],
            Array("-rf".utf8), Array("...".utf8), Array("con.".utf8), (1...46).map { $0 },
        ]
        for bytes in odd { try expect(.open(Path(bytes), O_WRONLY | O_CREAT | O_EXCL)) }
        let seen = Set(try names(in: "."))
        for bytes in odd {
            try expect(seen.contains(Path(bytes)), "readdir(3) does not show \(Path(bytes))")
            try expect(Path(bytes), .kind(.regular))
        }
        try expect("the number of names", gives: odd.count, seen.count)
        try expect(.open("CASE", O_WRONLY | O_CREAT | O_EXCL))
        try expect(.open("case", O_WRONLY | O_CREAT | O_EXCL))
    },
    Check("open/read-only", "EROFS: writing, truncating or creating on a read-only file system") {
        try make(.directory, "ro")
        try make(.regular, "ro/x", mode: 0o666)
        try make(.fifo, "ro/fifo", mode: 0o666)
        try inReadOnlyMount(of: "ro") {
            for flags in [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_RDWR | O_TRUNC] {
                try expect(.open("ro/x", flags), .EROFS)
            }
            for flags in [O_RDONLY, O_RDWR] { try expect(.open("ro/new", flags | O_CREAT), .EROFS) }
            try expect(.open("ro/x", O_RDONLY))
            try expect(.open("ro/x", O_RDONLY | O_CREAT))
            try expect(.open("ro/fifo", O_RDWR))
        }
    },
    Check("open/access-mode", "open(2): each access mode allows its own direction only") {
        try make(file: "x", holding: [1, 2, 3])
        try opened("x", O_RDONLY) { file in
            try expect(.ftruncate(file, 1), oneOf: [.EINVAL, .EBADF])
            try expect(Call("pwrite") { Int32(clamping: unsafe pwrite(file, [UInt8]([9]), 1, 0)) }, .EBADF)
        }
        try opened("x", O_WRONLY) { file in
            var byte: UInt8 = 0
            errno = 0
            let count = unsafe pread(file, &byte, 1, 0)
            try expect(
                "pread(2) of a file opened for writing", gives: [-1, Int(EBADF)], [count, Int(errno)])
        }
        try expect("its contents", gives: [1, 2, 3], try contents("x"))
    },
]

/// A descriptor of a file without a name, which the caller closes.
private func unnamedFile() throws -> Int32 {
    let call = Call.open(".", VFS_O_TMPFILE | O_RDWR, 0o640)
    do throws(Errno) { return try call() } catch .EOPNOTSUPP {
        throw Unsupported("no O_TMPFILE here (EOPNOTSUPP)")
    } catch { throw Failure("\(call) gave \(name(of: error)), expected success") }
}
