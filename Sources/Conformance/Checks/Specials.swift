// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

let specialChecks: [Check] = [
    Check("special/fifo", "fifo(7): what one process writes the other reads", needs: []) {
        try expect(.mkfifo("p"))
        let writer = try Aside {
            let file = try OpenFile("p", O_WRONLY)
            try file.write("through the fifo")
            file.close()
        }
        let reader = try OpenFile("p", O_RDONLY)
        var text = ""
        while true {
            let part = try reader.readText()
            if part.isEmpty { break }
            text += part
        }
        try writer.join()
        reader.close()
        try expect("read from the fifo", gives: "through the fifo", text)
    },
    Check("special/fifo-without-reader", "fifo(7): ENXIO for writing without a reader", needs: []) {
        try expect(.mkfifo("p"))
        try expect(.open("p", O_WRONLY | O_NONBLOCK), .ENXIO)
        let reader = try OpenFile("p", O_RDONLY | O_NONBLOCK)
        try expect("read from the empty fifo", gives: [], try reader.read(10))
        try expect(.open("p", O_WRONLY | O_NONBLOCK))
        reader.close()
        try expect(.open("p", O_RDWR))
    },
    Check("special/fifo-permissions", "fifo(7): a fifo has permissions like a file") {
        try make(.fifo, "p", mode: 0o640, owner: .owner)
        try expect(.open("p", O_RDONLY | O_NONBLOCK), by: .member)
        try expect(.open("p", O_RDONLY | O_NONBLOCK), .EACCES, by: .stranger)
    },
    Check(
        "special/socket", "unix(7): bind makes the name, connect finds it, opening it gives ENXIO", needs: []
    ) {
        let listener = try unixSocket()
        try expect(bound(listener, to: "s"))
        try expect("s", .kind(.socket))
        _ = try result(of: "listen") { () throws(Errno) in Int(try systemCall { listen(listener.number, 5) })
        }
        let client = try unixSocket()
        try expect(connected(client, to: "s"))
        let server = OpenFile(
            adopting: unsafe accept(listener.number, __SOCKADDR_ARG(__sockaddr__: nil), nil),
            "the accepted socket")
        try client.write("over the socket")
        try expect("read from the socket", gives: "over the socket", try server.readText())
        try expect(.open("s", O_RDWR), .ENXIO)
        try expect(bound(try unixSocket(), to: "s"), .EADDRINUSE)
        try expect(.rename("s", "t"))
        try expect(connected(try unixSocket(), to: "t"))
        listener.close()
        try expect(connected(try unixSocket(), to: "t"), .ECONNREFUSED)
        for file in [client, server] { file.close() }
    },
    Check("special/socket-permissions", "unix(7): connect needs the right to write") {
        let listener = try unixSocket()
        try expect(bound(listener, to: "s"))
        _ = try result(of: "listen") { () throws(Errno) in Int(try systemCall { listen(listener.number, 5) })
        }
        try expect(.chmod("s", 0o755))
        try expect(connected(try unixSocket(), to: "s"), .EACCES, by: .stranger)
        try expect(.chmod("s", 0o777))
        try expect(connected(try unixSocket(), to: "s"), by: .stranger)
        listener.close()
    },
    Check("special/device", "null(4): a device node leads to its device") {
        try make(.character, "null")
        let file: OpenFile
        do throws(Errno) { file = OpenFile(adopting: try Call.open("null", O_RDWR)(), "null") } catch {
            if error == .EACCES { throw Unsupported("mounted with nodev") }
            throw Failure("open(null) gave \(name(of: error)), expected success")
        }
        try file.write("anything")
        try expect("read", gives: [], try file.read(10))
        file.close()
        try expect("null", .represents(Kind.nullDevice), .size(0))
    },
]

private func unixSocket() throws -> OpenFile {
    do throws(Errno) { return OpenFile(adopting: try makeUnixSocket().release(), "a socket") } catch {
        throw Unsupported("no Unix sockets")
    }
}

private func bound(_ socket: OpenFile, to path: String) -> Call {
    Call("bind(\(path))") { answer { () throws(Errno) in try bindUnixSocket(socket.number, to: path) } }
}

private func connected(_ socket: OpenFile, to path: String) -> Call {
    Call("connect(\(path))") { answer { () throws(Errno) in try connectUnixSocket(socket.number, to: path) } }
}

/// 0, or −1 with errno, as a call.
private func answer(_ body: () throws(Errno) -> Void) -> Int32 {
    do throws(Errno) {
        try body()
        return 0
    } catch {
        errno = error.rawValue
        return -1
    }
}

/// Copies a program of this machine into the check's directory.
private func copyProgram(_ name: String, to path: Path) throws {
    let bytes: [UInt8]
    do throws(Errno) {
        guard let program = Files.program(name) else { throw .ENOENT }
        bytes = try Files.read(program)
    } catch { throw Unsupported("no program \(name)") }
    let file = try OpenFile(path, O_WRONLY | O_CREAT, mode: 0o755)
    try file.write(bytes)
    file.close()
}

/// The absolute path of a name in the check's directory; a started program has a working directory of its own.
private func absolute(_ name: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    guard unsafe getcwd(&buffer, buffer.count) != nil else { throw Failure("getcwd failed") }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/"
        + name
}

private func run(_ program: String, _ arguments: [String] = []) throws -> (status: Int32, text: String) {
    do throws(Errno) {
        let ended = try ChildProcess.run(program, arguments)
        return (ended.end.shellStatus, String(decoding: ended.output, as: UTF8.self))
    } catch {
        if error == .EACCES { throw Unsupported("programs do not run here (\(program))") }
        throw Failure("execve(\(program)) gave \(name(of: error)), expected success")
    }
}

let programChecks: [Check] = [
    Check("programs/binary", "execve(2): a program runs from here", needs: []) {
        try copyProgram("echo", to: "program")
        try expect("its output", gives: "a word\n", try run(try absolute("program"), ["a", "word"]).text)
    },
    Check("programs/script", "execve(2): a script runs by its interpreter", needs: []) {
        try store("#!/bin/sh\necho \"$1\" of $0\nexit 7\n", in: "script", mode: 0o755)
        let path = try absolute("script")
        if unsafe access("/bin/sh", X_OK) != 0 { throw Unsupported("no /bin/sh") }
        let seen = try run(path, ["word"])
        try expect("its output", gives: "word of \(path)\n", seen.text)
        try expect("its status", gives: 7, seen.status)
    },
    Check("programs/not-executable", "execve(2): EACCES without an x bit") {
        try copyProgram("echo", to: "program")
        try expect(.chmod("program", 0o644))
        let path = try absolute("program")
        do {
            _ = try run(path)
            throw Failure("a program without x bits ran")
        } catch is Unsupported {}
    },
    Check("programs/busy", "open(2): ETXTBSY for writing a program that runs", needs: []) {
        try copyProgram("sleep", to: "program")
        let path = try absolute("program")
        let child: ChildProcess
        do throws(Errno) {
            child = try ChildProcess(program: path, arguments: ["60"], descriptors: [0, 1, 2])
        } catch { throw Unsupported("programs do not run here") }
        try expect(.open("program", O_WRONLY), .ETXTBSY)
        try expect(.unlink("program"))
        try expect(child.end == nil, "the program ended when its file was removed")
        child.signal(SIGKILL)
        _ = child.wait()
    },
    Check("programs/set-user-id", "execve(2): a set-user-ID program runs as its owner") {
        try copyProgram("id", to: "program")
        try expect(.chown("program", 4001, 4002))
        try expect(.chmod("program", 0o6755))
        let path = try absolute("program")
        var space = statvfs()
        if unsafe statvfs(path, &space) == 0 && space.f_flag & UInt(ST_NOSUID) != 0 {
            throw Unsupported("mounted with nosuid")
        }
        try expect("id -u", gives: "4001\n", try run(path, ["-u"]).text)
        try expect("id -g", gives: "4002\n", try run(path, ["-g"]).text)
    },
]

let spaceChecks: [Check] = [
    Check("space/plausible", "statvfs(3): sizes that agree with each other", needs: []) {
        var space = statvfs()
        _ = try result(of: "statvfs(.)") { () throws(Errno) in
            Int(try systemCall { unsafe statvfs(".", &space) })
        }
        try expect(
            space.f_bsize >= 512 && space.f_frsize >= 512, "block sizes \(space.f_bsize), \(space.f_frsize)")
        try expect(
            space.f_bfree <= space.f_blocks && space.f_bavail <= space.f_bfree, "more free than there is")
        try expect(space.f_ffree <= space.f_files, "more free inodes than there are")
        try expect("the longest name", gives: 255, space.f_namemax)
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        var same = statvfs()
        _ = unsafe fstatvfs(file.number, &same)
        try expect(
            same.f_blocks == space.f_blocks && same.f_bsize == space.f_bsize, "fstatvfs says something else")
        file.close()
    },
    Check("space/use-is-seen", "statvfs(3): written data takes free space", needs: []) {
        func free() throws -> UInt {
            var space = statvfs()
            let result = unsafe statvfs(".", &space)
            try expect(result == 0, "statvfs failed")
            return space.f_bfree * space.f_frsize
        }
        // Others may write at the same time, so one of several tries has to show it.
        for _ in 0..<10 {
            let before = try free()
            let file = try OpenFile("f", O_RDWR | O_CREAT)
            try file.write([UInt8](repeating: 7, count: 4 << 20))
            try file.synchronize()
            let after = try free()
            file.close()
            try expect(.unlink("f"))
            if before >= after + (3 << 20) && before <= after + (64 << 20) { return }
        }
        throw Failure("4 MiB of data are not seen in the free space")
    },
]

/// The events that `step` causes at `path`, as their bits.
private func events(_ path: Path, _ step: () throws -> Void) throws -> UInt32 {
    let number = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
    if number < 0 { throw Unsupported("no inotify") }
    let watcher = OpenFile(adopting: number, "inotify")
    let watch = unsafe path.withPointer { unsafe inotify_add_watch(number, $0, 0xFFF) }
    try expect(watch >= 0, "inotify_add_watch(\(path)) gave \(name(of: Errno(rawValue: errno)))")
    try step()
    var bits: UInt32 = 0
    while waitReadable(number, timeoutMilliseconds: 0) != 0 {
        let bytes = try watcher.read(65536)
        var offset = 0
        // struct inotify_event: wd, mask, cookie, len, then len bytes of the name.
        func word(_ at: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[offset + at + $1]) << (8 * UInt32($1)) }
        }
        while offset + 16 <= bytes.count {
            bits |= word(4)
            offset += 16 + Int(word(12))
        }
    }
    watcher.close()
    return bits
}

let notificationChecks: [Check] = [
    Check("inotify/names", "inotify(7): made, moved and removed names are told", needs: []) {
        try make(.directory, "d")
        let seen = try events("d") {
            try expect(.open("d/f", O_WRONLY | O_CREAT))
            try expect(.rename("d/f", "d/g"))
            try expect(.unlink("d/g"))
        }
        for (bit, word) in [
            (IN_CREATE, "IN_CREATE"), (IN_MOVED_FROM, "IN_MOVED_FROM"), (IN_DELETE, "IN_DELETE"),
        ] {
            try expect(seen & UInt32(bit) != 0, "no \(word) among 0x\(String(seen, radix: 16))")
        }
    },
    Check("inotify/file", "inotify(7): opening, writing, closing and changing a file are told", needs: []) {
        try store("data", in: "f")
        let seen = try events("f") {
            try store("other", in: "f")
            try expect(.chmod("f", 0o600))
        }
        for (bit, word) in [
            (IN_OPEN, "IN_OPEN"), (IN_MODIFY, "IN_MODIFY"), (IN_CLOSE_WRITE, "IN_CLOSE_WRITE"),
            (IN_ATTRIB, "IN_ATTRIB"),
        ] { try expect(seen & UInt32(bit) != 0, "no \(word) among 0x\(String(seen, radix: 16))") }
    },
]
