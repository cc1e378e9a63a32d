// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import MappableFiles
import Synchronization

/// Another process, which does something to a file when it is told to, and says when it has.
final class Other: Sendable {
    typealias Deed = @Sendable () -> Bool

    private let socket: OwnedDescriptor
    private let process: pid_t

    /// Before there is a second thread.
    init(_ deeds: [Deed]) throws {
        let (near, far) = try SocketPair().split { ($0.release(), $1.release()) }
        process = vfs_fork()
        if process == 0 {
            close(near)
            var index: UInt8 = 0
            while Glibc.read(far, &index, 1) == 1 {
                var answer: UInt8 = deeds[Int(index)]() ? 1 : 0
                Glibc.write(far, &answer, 1)
            }
            _exit(0)
        }
        close(far)
        socket = OwnedDescriptor(adopting: near)
    }

    deinit {
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }

    func start(_ index: Int) {
        var byte = UInt8(index)
        Glibc.write(socket.rawValue, &byte, 1)
    }

    var hasFinished: Bool { waitReadable(socket.rawValue, timeoutMilliseconds: 0) != 0 }

    /// False: it fails, or does not come to an end.
    func finish() -> Bool {
        var answer: UInt8 = 0
        guard waitReadable(socket.rawValue, until: Deadline(milliseconds: 10_000)) else { return false }
        return Glibc.read(socket.rawValue, &answer, 1) == 1 && answer == 1
    }
}

/// A file of 100000 bytes, what was announced of it, and another process.
final class Watched: Sendable {
    let files: MappableFiles
    let path: String
    let file: OwnedDescriptor
    private let seen = Mutex<[UInt64]>([])
    private let stop: EventFD

    init(_ stage: Stage) throws {
        files = stage.files
        path = stage.folder + "/watched"
        file = try stage.file("watched", "")
        stop = try EventFD()
        try reset()
    }

    func reset() throws {
        expect(
            ftruncate(file.rawValue, 0) == 0 && ftruncate(file.rawValue, 100_000) == 0, "the file is there")
        seen.withLock { $0 = [] }
    }

    var announced: [UInt64] { seen.withLock { $0 } }

    /// Runs the daemon's thread while `body` runs.
    func serve(
        _ other: Other, _ onAnnouncement: @escaping @Sendable () -> Void = {}, _ body: () throws -> Void
    )
        throws
    {
        let key = FileKey(try FileStatus(of: file.rawValue))
        let thread = try Thread(name: "guard") { [self] in
            files.serveAnnouncements(until: stop) { (found, length) in
                // Time enough for somebody who does not wait.
                usleep(10_000)
                expect(found == key, "it is about the file: \(found), \(key)")
                expect(!other.hasFinished, "the other waits")
                let size = try? FileStatus(of: file.rawValue).raw.stx_size
                expect(size == 100_000, "the file is as it was: \(size ?? 0)")
                onAnnouncement()
                seen.withLock { $0.append(length) }
            }
        }
        try body()
        stop.signal()
        thread.join()
    }
}

/// Each way to make a file shorter is announced with its length before it happens, and nothing else is.
func announced(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let (path, old) = (watched.path, watched.file.rawValue)
    @Sendable func opened(_ flags: Int32, _ body: (Int32) -> Bool) -> Bool {
        let number = open(path, flags)
        defer { close(number) }
        return number >= 0 && body(number)
    }
    let deeds: [(String, [UInt64], Other.Deed)] = [
        ("ftruncate", [50000], { ftruncate(old, 50000) == 0 }),
        ("truncate", [40960], { truncate(path, 40960) == 0 }),
        ("truncate to nothing", [0], { truncate(path, 0) == 0 }),
        ("open", [0], { opened(O_WRONLY | O_TRUNC) { _ in true } }),
        ("open for reading", [0], { opened(O_RDONLY | O_TRUNC) { _ in true } }),
        ("creat", [0], { creat(path, 0o600) >= 0 }),
        ("openat2", [0], { vfs_openat2(AT_FDCWD, path, UInt64(O_RDWR | O_TRUNC), 0, 0) >= 0 }),
        ("openat2 without", [], { vfs_openat2(AT_FDCWD, path, UInt64(O_RDWR), 0, 0) >= 0 }),
        ("ftruncate of new", [30001], { opened(O_RDWR) { ftruncate($0, 30001) == 0 } }),
        ("collapse", [8192], { opened(O_RDWR) { fallocate($0, FALLOC_FL_COLLAPSE_RANGE, 8192, 4096) == 0 } }),
        ("longer", [200_000], { ftruncate(old, 200_000) == 0 }),
        (
            "punch", [],
            { opened(O_RDWR) { fallocate($0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 } }
        ),
        ("read", [], { opened(O_RDONLY) { read($0, 0, 9).utf8.count == 9 } }),
        ("write", [], { opened(O_WRONLY) { pwrite($0, "text", 4, 99_000) == 4 } }),
        ("append", [], { opened(O_WRONLY | O_APPEND) { write($0, "text", 4) == 4 } }),
        (
            "map", [],
            {
                opened(O_RDWR) {
                    guard let window = try? Window($0) else { return false }
                    window.write("text", at: 4096)
                    return window.text(0, 1) == "\0"
                }
            }
        ),
        ("execute", [], { execl(path) }),
    ]
    let other = try Other(deeds.map(\.2))
    let protection = try watched.files.protect(old)
    expect(protection == .full, "all is announced: \(protection)")
    try watched.serve(other) {
        for (index, (name, lengths, _)) in deeds.enumerated() {
            try watched.reset()
            other.start(index)
            expect(other.finish(), "\(name) succeeds")
            expect(watched.announced == lengths, "\(name): \(watched.announced)")
        }
        // Our own, in any thread.
        try watched.reset()
        expect(truncate(path, 5000) == 0 && opened(O_RDWR | O_TRUNC) { ftruncate($0, 100) == 0 }, "ours")
        try Thread(name: "own") { expect(truncate(path, 50) == 0, "another thread's") }.join()
        expect(watched.announced == [], "nothing of ours is announced: \(watched.announced)")
        // Protected no more.
        try watched.reset()
        try watched.files.unprotect(old)
        try watched.files.unprotect(old)
        other.start(0)
        expect(other.finish(), "it is truncated")
        expect(watched.announced == [], "nothing is announced any more: \(watched.announced)")
    }
}

/// Of what nobody can tell it is announced that all from where it begins may go. io_uring works for its user in threads of the kernel.
func untold(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let (path, old) = (watched.path, watched.file.rawValue)
    let other = try Other([
        { Ring()?.truncate(old, 50000) ?? false }, { Ring()?.open(path, O_RDWR | O_TRUNC) ?? false },
    ])
    _ = try watched.files.protect(old)
    try watched.serve(other) {
        for (index, lengths) in [[49152], [UInt64(0)]].enumerated() {
            try watched.reset()
            other.start(index)
            expect(other.finish(), "\(index) succeeds")
            expect(watched.announced == lengths, "\(index): \(watched.announced)")
        }
    }
}

/// A daemon that is in a process namespace of its own has another number there, and is known all the same.
func nested(_ stage: Stage) throws {
    let watched = try Watched(stage)
    expect(unshare(CLONE_NEWPID) == 0, "there is a namespace")
    let child = vfs_fork()
    if child == 0 {
        do {
            expect(getpid() == 1, "it has another number")
            expect(try watched.files.protect(watched.file.rawValue) == .full, "it is protected")
            let stop = try EventFD()
            let thread = try Thread(name: "guard") {
                watched.files.serveAnnouncements(until: stop) { expect(false, "\($0) is announced: \($1)") }
            }
            expect(truncate(watched.path, 5) == 0, "it is truncated")
            try Thread(name: "own") { expect(truncate(watched.path, 4) == 0, "it is truncated") }.join()
            stop.signal()
            thread.join()
            _ = try watched.files.open(watched.file.rawValue)
        } catch { expect(false, "\(error)") }
        _exit(failures == 0 ? 0 : 1)
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    expect(vfs_wait_exited(status) != 0 && vfs_wait_exit_status(status) == 0, "all is well there")
}

/// Whether a program that cannot be executed fails to be.
private func execl(_ path: String) -> Bool {
    chmod(path, 0o700)
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("x"), nil]
    return execv(path, &arguments) != 0 && errno == ENOEXEC
}

/// On a file system that only says what is opened.
func partial(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let path = watched.path
    let other = try Other([
        { open(path, O_WRONLY | O_TRUNC) >= 0 }, { open(path, O_WRONLY) >= 0 }, { truncate(path, 5) == 0 },
    ])
    let protection = try watched.files.protect(watched.file.rawValue)
    expect(protection == .partial, "not all is announced: \(protection)")
    try watched.serve(other) {
        for (index, lengths) in [[0], [], [UInt64]()].enumerated() {
            try watched.reset()
            other.start(index)
            expect(other.finish(), "\(index) succeeds")
            expect(watched.announced == lengths, "\(index): \(watched.announced)")
        }
        try watched.files.unprotect(watched.file.rawValue)
        try watched.reset()
        other.start(0)
        expect(other.finish() && watched.announced == [], "nothing is announced any more")
    }
}

/// While somebody waits for the daemon, the daemon can do what it has to do for him: ask, open, look.
func busy(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let path = watched.path
    let other = try Other([{ truncate(path, 5) == 0 }])
    _ = try watched.files.protect(watched.file.rawValue)
    let mapped = try watched.files.open(watched.file.rawValue).release()
    let done = Atomic(0)
    try watched.serve(
        other,
        {
            do {
                let again = try watched.files.open(watched.file.rawValue)
                expect(status(again.rawValue).st_size == 1 << 62, "it is opened")
                let window = try Window(mapped)
                expect(window.text(0, 1) == "\0", "and mapped")
                expect(status(mapped).st_size == 1 << 62, "its size is seen")
                _ = try watched.files.protect(watched.file.rawValue)
                done.store(1, ordering: .relaxed)
            } catch { expect(false, "\(error)") }
        }
    ) {
        try watched.reset()
        other.start(0)
        expect(other.finish() && watched.announced == [5], "it is announced: \(watched.announced)")
    }
    expect(done.load(ordering: .relaxed) == 1, "all of it was done")
}

/// More at a time than can be held: the others wait in the kernel, and each is announced.
func crowd(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let path = watched.path
    let count = 300
    let other = try Other([
        {
            let threads = (1...count).compactMap { index in
                try? Thread(name: "crowd") { if truncate(path, off_t(index) * 4096) != 0 { _exit(1) } }
            }
            for thread in threads { thread.join() }
            return threads.count == count
        }
    ])
    _ = try watched.files.protect(watched.file.rawValue)
    let seen = Mutex<[UInt64]>([])
    let stop = try EventFD()
    let thread = try Thread(name: "guard") {
        watched.files.serveAnnouncements(until: stop) { (_, length) in seen.withLock { $0.append(length) } }
    }
    other.start(0)
    expect(other.finish(), "all come to an end")
    stop.signal()
    thread.join()
    let lengths = seen.withLock { $0.sorted() }
    expect(lengths == (1...count).map { UInt64($0) * 4096 }, "each is announced: \(lengths.count)")
}

/// Nobody waits for ever for a daemon that does not listen, has stopped to, or has gone with the process.
func unheard(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let path = watched.path
    let first = try Other([{ truncate(path, 5) == 0 }])
    _ = try watched.files.protect(watched.file.rawValue)
    // Nobody has begun to listen.
    first.start(0)
    expect(first.finish(), "it goes on although nobody listens")
    // The process goes while somebody waits.
    try watched.reset()
    first.start(0)
    usleep(100_000)
    expect(!first.hasFinished, "it waits")
    kill(stage.process, SIGKILL)
    expect(first.finish(), "it goes on without the process")
}

/// When the thread has ended nobody is held up any more.
func finished(_ stage: Stage) throws {
    let watched = try Watched(stage)
    let path = watched.path
    let other = try Other([{ truncate(path, 5) == 0 }])
    _ = try watched.files.protect(watched.file.rawValue)
    try watched.serve(other) {}
    for _ in 0..<20 {
        try watched.reset()
        other.start(0)
        expect(other.finish(), "it goes on")
    }
    expect(watched.announced == [], "unheard")
    // That there is nothing more to wait for shows here too: nobody signals this.
    watched.files.serveAnnouncements(until: try EventFD()) { _, _ in }
    _ = try watched.files.open(watched.file.rawValue)
}

/// The thread ends by itself when the process does.
func gone(_ stage: Stage) throws {
    let stop = try EventFD()
    let thread = try Thread(name: "guard") { stage.files.serveAnnouncements(until: stop) { _, _ in } }
    kill(stage.process, SIGKILL)
    thread.join()
}
