// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import MappableFiles

/// Whose child the process is, what it keeps, and that it goes with its daemon.
func lineage(_ stage: Stage) throws {
    let process = stage.process
    expect(process > 0, "there is a process")
    let lines = try Files.text("/proc/\(process)/status").split(separator: "\n")
    func line(_ key: String) -> String? {
        lines.first { $0.hasPrefix(key + ":") }.map { $0.dropFirst(key.count + 1).trimmed }
    }
    expect(line("PPid") != "\(getpid())", "it is not our child, and we need not wait for it")
    expect(waitpid(-1, nil, WNOHANG) < 0 && errno == ECHILD, "we have no child")
    // SYS_ADMIN 21, SYS_PTRACE 19, DAC_READ_SEARCH 2.
    let rights = String(1 << 21 | 1 << 19 | 1 << 2, radix: 16)
    expect(line("CapEff")?.suffix(6) == rights[...], "its rights: \(line("CapEff") ?? "")")
    expect(line("CapPrm")?.suffix(6) == rights[...], "no others can be had: \(line("CapPrm") ?? "")")
    expect(line("CapBnd").map { Int($0, radix: 16) } == 0, "nor by a program: \(line("CapBnd") ?? "")")
    expect(line("NoNewPrivs") == "1", "no new privileges")
    expect(line("Seccomp") == "2", "it has a filter")
    // The thread sanitizer has one of its own (scripts/sanitize).
    if getenv("VFS_SANITIZE") == nil { expect(line("Threads") == "1", "it has one thread") }

    let mounts = try Files.text("/proc/self/mounts")
    expect(!mounts.contains("virtiofsd-files"), "the mount is nowhere to be seen")
}

/// The process keeps nothing open that its launcher waits for the end of, and ends when the last who could ask has.
func inherited(_ stage: Stage) throws {
    // The pipe is made by a child of its own, which starts a second process and goes on without it.
    var ends: (Int32, Int32) = (-1, -1)
    withUnsafeMutablePointer(to: &ends) {
        $0.withMemoryRebound(to: Int32.self, capacity: 2) { _ = pipe($0) }
    }
    let before = try Stage.processes()
    let child = vfs_fork()
    if child == 0 {
        close(ends.0)
        do throws(StartupError) {
            let files = try MappableFiles.start()
            close(ends.1)
            for number in 0...2 { close(Int32(number)) }
            while getppid() != 1, files.directory.rawValue >= 0 { pause() }
        } catch {}
        _exit(1)
    }
    close(ends.1)
    // The child has closed it: if the process had it, this would not be the end.
    expect(waitReadable(ends.0, until: Deadline(milliseconds: 10_000)), "the pipe ends")
    var byte: UInt8 = 0
    expect(Glibc.read(ends.0, &byte, 1) == 0, "by its end")
    let process = try Stage.processes().first { !before.contains($0) } ?? -1
    expect(process > 0, "while the process is there")
    let links = try Files.names(in: "/proc/\(process)/fd").compactMap { number -> String? in
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = readlink("/proc/\(process)/fd/\(number)", &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
    let known = links.filter {
        $0 == "/dev/null" || $0 == "/dev/fuse" || $0.hasPrefix("socket:") || $0.hasPrefix("anon_inode:")
            || $0 == "/proc"
    }
    expect(known == links && links.count { $0.hasPrefix("socket:") } <= 2, "it keeps only its own: \(links)")
    kill(child, SIGKILL)
    while waitpid(child, nil, 0) < 0 && errno == EINTR {}
    awaitEnd(of: process)
    awaitGone(process)
}

/// The process has been reaped by whoever is its parent now; a test's guard does so.
private func awaitGone(_ process: pid_t) {
    let deadline = Deadline(milliseconds: 10_000)
    while kill(process, 0) == 0 {
        if deadline.hasPassed { expect(false, "\(process) is reaped"); return }
        usleep(1000)
    }
}

/// Nothing of a file is kept that nobody uses any more: its file system can be unmounted.
func released(_ stage: Stage) throws {
    expect(unshare(CLONE_NEWNS) == 0, "there is a namespace")
    expect(mount(nil, "/", nil, VFS_MS_PRIVATE_TREE, nil) == 0, "of our own")
    expect(mount("tmpfs", stage.folder, "tmpfs", 0, nil) == 0, "there is a file system")
    if true {
        let real = try stage.file("released", "text")
        _ = try stage.files.protect(real.rawValue)
        for _ in 0..<100 { _ = try stage.files.open(real.rawValue) }
        let file = try stage.files.open(real.rawValue)
        _ = try Window(file.rawValue)
        expect(umount2(stage.folder, 0) != 0 && errno == EBUSY, "it is in use")
    }
    // The kernel says later that a file is closed.
    let deadline = Deadline(milliseconds: 10_000)
    while umount2(stage.folder, 0) != 0 {
        if deadline.hasPassed { return expect(false, "it is free: \(errno)") }
        usleep(1000)
    }
}

/// The file system of the folder is one that the caller says something about: whether its files can be had is printed.
func other(_ stage: Stage) throws {
    let real = try stage.file("other", "text")
    let file = try stage.files.open(real.rawValue)
    expect(read(file.rawValue, 0, 9) == "text", "it has the data")
    let window = try Window(file.rawValue)
    expect(window.text(0, 4) == "text", "and its mapping too")
    window.write("TEXT", at: 0)
    expect(read(real.rawValue, 0, 9) == "TEXT", "both ways")
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " || $0 == "\t" })
    }
}
