// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import MappableFiles
import Sandbox

private let chunk = 2 << 20

/// A mapping of the first chunk of a file.
struct Window: ~Copyable {
    let base: UnsafeMutableRawPointer

    init(_ file: Int32) throws {
        guard let base = mmap(nil, chunk, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), base != MAP_FAILED
        else {
            throw Errno(rawValue: errno)
        }
        self.base = base
    }

    deinit { munmap(base, chunk) }

    func text(_ offset: Int, _ count: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: base + offset, count: count), as: UTF8.self)
    }

    func write(_ text: String, at offset: Int) {
        (base + offset).copyMemory(from: Array(text.utf8), byteCount: text.utf8.count)
    }
}

func read(_ file: Int32, _ offset: Int, _ count: Int) -> String {
    var bytes = [UInt8](repeating: 0, count: count)
    let found = pread(file, &bytes, count, off_t(offset))
    return String(decoding: bytes.prefix(max(0, found)), as: UTF8.self)
}

func status(_ file: Int32) -> stat {
    var status = stat()
    fstat(file, &status)
    return status
}

/// Both have the same data whoever changes it, the size is a constant, and the tail reads as zeros.
func content(_ stage: Stage) throws {
    let real = try stage.file("content", "hello world")
    let file = try stage.files.open(real.rawValue)
    expect(status(file.rawValue).st_size == 1 << 62, "the size is 2^62: \(status(file.rawValue).st_size)")
    expect(status(file.rawValue).st_mode & S_IFMT == S_IFREG, "it is a regular file")
    let flags = fcntl(file.rawValue, F_GETFD)
    expect(flags & FD_CLOEXEC != 0, "it is closed on exec")
    expect(isForgotten(file.rawValue), "the kernel keeps nothing of it")
    let window = try Window(file.rawValue)
    expect(window.text(0, 11) == "hello world", "the mapping has the file's data: \(window.text(0, 11))")
    expect(window.text(11, 4) == "\0\0\0\0", "the tail is zero")
    window.write("HELLO", at: 0)
    expect(read(real.rawValue, 0, 20) == "HELLO world", "what is written to the mapping is in the file")
    pwrite(real.rawValue, "appended", 8, 8192)
    expect(window.text(8192, 8) == "appended", "what is appended is in the mapping")
    expect(window.text(5000, 1) == "\0", "the hole is there too")
    expect(status(real.rawValue).st_size == 8200, "the size of the file is its own")
    expect(status(file.rawValue).st_size == 1 << 62, "the size stays 2^62")
    pwrite(file.rawValue, "tail", 4, 8200)
    expect(read(real.rawValue, 8192, 20) == "appendedtail", "what is written to it is in the file")
    expect(ftruncate(file.rawValue, 0) != 0 && errno == EPERM, "it cannot be truncated")
    expect(status(real.rawValue).st_size == 8204, "and so the file was not")
    expect(msync(window.base, chunk, MS_SYNC) == 0, "the mapping can be synchronized")
}

/// Opening, mapping and closing leave no trace, not even when the process is killed in between.
func untouched(_ stage: Stage) throws {
    for text in ["", "some text"] {
        for kills in [false, true] {
            let real = try stage.file("untouched", text)
            fsync(real.rawValue)
            let before = status(real.rawValue)
            if true {
                let file = try stage.files.open(real.rawValue)
                let window = try Window(file.rawValue)
                if !text.isEmpty { expect(window.text(0, 4) == "some", "it is mapped") }
                if kills, text.isEmpty == false { kill(stage.process, SIGKILL) }
            }
            let after = status(real.rawValue)
            expect(after.st_size == before.st_size, "the size: \(before.st_size), \(after.st_size)")
            expect(after.st_blocks == before.st_blocks, "the blocks: \(before.st_blocks), \(after.st_blocks)")
            for (name, old, new) in [
                ("mtime", before.st_mtim, after.st_mtim), ("ctime", before.st_ctim, after.st_ctim),
            ] {
                expect(old.tv_sec == new.tv_sec && old.tv_nsec == new.tv_nsec, "the \(name)")
            }
        }
    }
}

/// One after another, and many at a time from several threads; each is the file that was asked for.
func many(_ stage: Stage) throws {
    let real = try stage.file("many", "many")
    for _ in 0..<2000 { _ = try stage.files.open(real.rawValue) }
    let mine = try Files.names(in: "/proc/self/fd").count
    let threads = try (0..<8).map { thread in
        try Thread(name: "opener") {
            do {
                for turn in 0..<100 {
                    let text = "\(thread).\(turn)"
                    let real = try stage.file("many.\(thread)", text)
                    let file = try stage.files.open(real.rawValue)
                    let found = read(file.rawValue, 0, 20)
                    if found != text { say("not so: \(found) is \(text)\n"); _exit(1) }
                }
            } catch { say("\(error)\n"); _exit(1) }
        }
    }
    for thread in threads { thread.join() }
    expect(try Files.names(in: "/proc/self/fd").count == mine, "no descriptor of ours is left")
    // Its null, sockets and channel, and what a release that is under way keeps.
    let theirs = try Files.names(in: "/proc/\(stage.process)/fd").count
    expect(theirs < 12, "no descriptor of the process is left: \(theirs)")
}

/// What is not a file that its owner may write.
func refused(_ stage: Stage) throws {
    let path = stage.folder + "/refused"
    _ = try stage.file("refused", "text")
    for (flags, reason) in [
        (O_RDONLY, EACCES), (O_WRONLY, EACCES), (O_PATH, EACCES), (O_RDWR | O_APPEND, EACCES),
    ] {
        let number = open(path, flags | O_CLOEXEC)
        let found = failure { _ = try stage.files.open(number) }
        expect(found == reason, "flags \(flags): \(found)")
        let other = failure { _ = try stage.files.protect(number) }
        expect(other == reason, "flags \(flags), to protect: \(other)")
        close(number)
    }
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    let found = failure { _ = try stage.files.open(null) }
    expect(found == EINVAL, "a device: \(found)")
    // All programs of the host would wait.
    expect(failure { _ = try stage.files.protect(null) } == EINVAL, "a device is not protected")
    expect(failure { _ = try stage.files.open(-1) } == EBADF, "no descriptor")
    // A file of the file system itself is on nothing that could stand behind another.
    let real = try stage.file("refused", "text")
    let once = try stage.files.open(real.rawValue)
    let twice = failure { _ = try stage.files.open(once.rawValue) }
    expect(twice == ELOOP, "one of its own: \(twice)")
    _ = try stage.files.open(real.rawValue)
}

/// A daemon that has given up its ids and capabilities opens all the same.
func restricted(_ stage: Stage) throws {
    let real = try stage.file("restricted", "text")
    expect(vfs_setgroups_thread(0, nil) == 0, "setgroups")
    expect(vfs_setresgid_thread(65534, 65534, 65534) == 0, "setresgid")
    expect(vfs_setresuid_thread(65534, 65534, 65534) == 0, "setresuid")
    let file = try stage.files.open(real.rawValue)
    expect(read(file.rawValue, 0, 9) == "text", "it has the data")
    _ = try Window(file.rawValue)
}

/// Whether an open file has no name any more.
private func isForgotten(_ file: Int32) -> Bool {
    var link = [UInt8](repeating: 0, count: 256)
    let count = readlink("/proc/self/fd/\(file)", &link, link.count)
    return String(decoding: link.prefix(max(0, count)), as: UTF8.self).hasSuffix(" (deleted)")
}

/// Behind Landlock's wall, which lets only one other directory be used.
func walled(_ stage: Stage) throws {
    let real = try stage.file("walled", "text")
    let share = OwnedDescriptor(adopting: open(stage.folder, O_PATH | O_CLOEXEC))
    try forbidNewPrivileges()
    _ = try raiseLandlock(
        share: share.rawValue, tasks: -1, sockets: -1, files: stage.files.directory.rawValue)
    expect(vfs_landlock_version() < 2 || open("/etc/passwd", O_RDONLY) < 0, "the wall is there")
    let file = try stage.files.open(real.rawValue)
    expect(read(file.rawValue, 0, 9) == "text", "it has the data")
    expect(isForgotten(file.rawValue), "the kernel keeps nothing of it")
}

/// Names that nobody has been given, and one a second time.
func abandoned(_ stage: Stage) throws {
    let real = try stage.file("abandoned", "text")
    _ = try stage.files.open(real.rawValue)
    for name in ["1", "2", "0", "18446744073709551616", "x", "..1"] {
        let number = openat(stage.files.directory.rawValue, name, O_RDWR | O_CLOEXEC)
        expect(number < 0 && errno == ENOENT, "\(name): \(errno)")
    }
    expect(
        openat(stage.files.directory.rawValue, "new", O_RDWR | O_CREAT, 0o600) < 0, "nothing is made there")
    expect(mkdirat(stage.files.directory.rawValue, "new", 0o700) < 0, "no directory either")
    _ = try stage.files.open(real.rawValue)
}

/// When the process has gone, open files stay what they are and new ones are an error.
func killed(_ stage: Stage) throws {
    let real = try stage.file("killed", "text")
    let file = try stage.files.open(real.rawValue)
    let window = try Window(file.rawValue)
    let process = stage.process
    expect(kill(process, SIGTERM) == 0, "the process is there")
    _ = try stage.files.open(real.rawValue)
    expect(kill(process, SIGKILL) == 0, "a signal to the daemon's group does not end it")
    awaitEnd(of: process)
    for _ in 0..<3 {
        let found = failure { _ = try stage.files.open(real.rawValue) }
        expect([ECONNRESET, EPIPE, ENOTCONN].contains(found), "the error is clear: \(found)")
    }
    expect(window.text(0, 4) == "text", "what is mapped stays")
    window.write("TEXT", at: 0)
    expect(read(real.rawValue, 0, 4) == "TEXT", "and is the file")
}

func awaitEnd(of process: pid_t) {
    let deadline = Deadline(milliseconds: 10_000)
    // Its new parent may leave it a zombie, which has no descriptors.
    while kill(process, 0) == 0, let names = try? Files.names(in: "/proc/\(process)/fd"), !names.isEmpty {
        if deadline.hasPassed { expect(false, "\(process) ends"); return }
        usleep(1000)
    }
}

/// A process that hangs holds up nobody for long, and its late answers are not taken for others.
func stopped(_ stage: Stage) throws {
    let first = try stage.file("first", "first")
    let second = try stage.file("second", "second")
    _ = try stage.files.open(first.rawValue)
    let process = stage.process
    kill(process, SIGSTOP)
    for _ in 0..<5 {
        let found = failure { _ = try stage.files.open(first.rawValue) }
        expect(found == ETIMEDOUT, "it times out: \(found)")
    }
    kill(process, SIGCONT)
    let deadline = Deadline(milliseconds: 10_000)
    while !deadline.hasPassed {
        guard let file = try? stage.files.open(second.rawValue) else { continue }
        expect(read(file.rawValue, 0, 9) == "second", "it is the file that was asked for")
        return
    }
    expect(false, "it goes on")
}

/// What a daemon that a guest has taken over could send instead of questions. The process takes no harm, or ends.
func forged(_ stage: Stage) throws {
    let real = try stage.file("forged", "text")
    _ = try stage.files.open(real.rawValue)
    let socket = try socketNumber()
    let numbers = [Int32](repeating: real.rawValue, count: 9)
    // An unknown kind, nine files: an answer with an error.
    for (bytes, fds) in [([UInt8](repeating: 9, count: 8), 1), ([1, 0, 0, 0, 7, 0, 0, 0], 9)] {
        expect(vfs_send_fds(socket, bytes, bytes.count, numbers, Int32(fds)) == bytes.count, "it is sent")
        expect(waitReadable(socket, until: Deadline(milliseconds: 5000)), "it is answered")
        var answer = [UInt8](repeating: 0, count: 64)
        expect(recv(socket, &answer, 64, 0) == 16, "by an answer")
    }
    // No file at all.
    expect(send(socket, [1, 0, 0, 0, 0, 0, 0, 0], 8, Int32(MSG_NOSIGNAL)) == 8, "it is sent")
    expect(waitReadable(socket, until: Deadline(milliseconds: 5000)), "it is answered")
    var answer = [UInt8](repeating: 0, count: 64)
    expect(recv(socket, &answer, 64, 0) == 16 && answer[4] == UInt8(EMFILE), "with an error: \(answer[4])")
    _ = try stage.files.open(real.rawValue)
    let process = stage.process
    // No record of ours: the end.
    expect(send(socket, [1], 1, Int32(MSG_NOSIGNAL)) == 1, "it is sent")
    awaitEnd(of: process)
}

/// The socket for questions: the first of ours that keeps messages apart.
private func socketNumber() throws -> Int32 {
    for number in try Files.names(in: "/proc/self/fd").compactMap({ Int32($0) }).sorted() {
        var (type, size): (Int32, socklen_t) = (0, 4)
        if getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) == 0, type == Int32(SOCK_SEQPACKET.rawValue)
        {
            return number
        }
    }
    throw Errno.ENOENT
}
