// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

@testable import Sandbox

/// Landlock holds threads: each test has one of its own, which ends with it.
@Suite(.enabled(if: hasLandlock(2, "5.19"), "needs Landlock of Linux 5.19")) struct LandlockTests {
    /// A share with a file, and a file and a directory beside it.
    private final class Place: Sendable {
        let folder: String
        var share: String { folder + "/share" }

        init() throws {
            var template = Array("/tmp/landlock-test.XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
            folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            for name in ["share", "share/a", "share/b", "sockets"] { mkdir("\(folder)/\(name)", 0o755) }
            for name in ["share/a/file", "beside"] {
                try Files.replace("\(folder)/\(name)", with: Array("content".utf8))
            }
        }

        deinit { _ = try? ChildProcess.run("/bin/rm", ["-rf", folder]) }
    }

    private final class Box: Sendable { let failure = Mutex<(any Error)?>(nil) }

    /// Runs `body` in a thread behind the wall.
    private func behind(
        _ place: Place, files: Bool = true, sockets: Bool = false,
        _ body: @escaping @Sendable (LandlockWall) throws -> Void
    ) throws {
        let box = Box()
        let thread = try Thread(name: "walled") {
            do {
                try forbidNewPrivileges()
                let share = OwnedDescriptor(
                    adopting: try systemCall { open(place.share, O_PATH | O_CLOEXEC) })
                let directory = OwnedDescriptor(
                    adopting: try systemCall { open(place.folder + "/sockets", O_PATH | O_CLOEXEC) })
                let wall = try raiseLandlock(
                    share: files ? share.rawValue : nil, tasks: -1, sockets: sockets ? directory.rawValue : -1
                )
                try body(wall)
            } catch { box.failure.withLock { $0 = error } }
        }
        thread.join()
        if let error = box.failure.withLock({ $0 }) { throw error }
    }

    /// 0, or the errno of what failed.
    private static func outcome(_ call: () -> Int32) -> Int32 {
        let number = call()
        let code = number < 0 ? errno : 0
        if number > 2 { close(number) }
        return code
    }

    @Test func everythingWorksInTheShareAndNothingBesideIt() throws {
        let place = try Place()
        try behind(place) { wall in
            #expect(wall.coversFiles && wall.version == vfs_landlock_version())
            let share = place.share
            #expect(Self.outcome { open(share + "/a/file", O_RDWR) } == 0)
            #expect(Self.outcome { open(share + "/new", O_RDWR | O_CREAT, 0o644) } == 0)
            #expect(Self.outcome { open(share + "/a", O_RDONLY | O_DIRECTORY) } == 0)
            #expect(Self.outcome { truncate(share + "/a/file", 3) } == 0)
            #expect(Self.outcome { rename(share + "/a/file", share + "/b/file") } == 0)
            #expect(Self.outcome { link(share + "/b/file", share + "/a/hard") } == 0)
            #expect(Self.outcome { symlink("x", share + "/soft") } == 0)
            #expect(Self.outcome { mkfifo(share + "/fifo", 0o600) } == 0)
            #expect(Self.outcome { mkdir(share + "/d", 0o755) } == 0)
            #expect(Self.outcome { rmdir(share + "/d") } == 0)
            #expect(Self.outcome { unlink(share + "/a/hard") } == 0)

            #expect(Self.outcome { open(place.folder + "/beside", O_RDONLY) } == EACCES)
            #expect(Self.outcome { open(place.folder, O_RDONLY | O_DIRECTORY) } == EACCES)
            #expect(Self.outcome { open("/etc/passwd", O_RDONLY) } == EACCES)
            #expect(Self.outcome { open(place.folder + "/made", O_RDWR | O_CREAT, 0o644) } == EACCES)
            #expect(Self.outcome { unlink(place.folder + "/beside") } == EACCES)
            #expect(Self.outcome { mkdir(place.folder + "/d", 0o755) } == EACCES)
            #expect(Self.outcome { rename(place.share + "/new", place.folder + "/sockets/new") } == EACCES)
        }
    }

    @Test func aFileCanBeAllThereIs() throws {
        let place = try Place()
        let box = Box()
        let thread = try Thread(name: "walled") {
            do {
                try forbidNewPrivileges()
                let file = OwnedDescriptor(
                    adopting: try systemCall { open(place.folder + "/beside", O_PATH | O_CLOEXEC) })
                #expect(try raiseLandlock(share: file.rawValue, tasks: -1, sockets: -1).coversFiles)
                #expect(Self.outcome { open(place.folder + "/beside", O_RDWR) } == 0)
                #expect(Self.outcome { open(place.share + "/a/file", O_RDONLY) } == EACCES)
            } catch { box.failure.withLock { $0 = error } }
        }
        thread.join()
        if let error = box.failure.withLock({ $0 }) { throw error }
    }

    @Test func socketsCanBeMadeAndRemovedWhereTheyAreTo() throws {
        let place = try Place()
        try behind(place, sockets: true) { _ in
            let folder = place.folder + "/sockets"
            let socket = try makeUnixSocket()
            try bindUnixSocket(socket.rawValue, to: folder + "/a")
            #expect(Self.outcome { rename(folder + "/a", folder + "/b") } == 0)
            #expect(Self.outcome { unlink(folder + "/b") } == 0)
            #expect(Self.outcome { open(folder + "/file", O_RDWR | O_CREAT, 0o644) } == EACCES)
            #expect(Self.outcome { open(folder, O_RDONLY | O_DIRECTORY) } == EACCES)
        }
        try behind(place) { _ in
            let socket = try makeUnixSocket()
            #expect(throws: Errno.EACCES) {
                try bindUnixSocket(socket.rawValue, to: place.folder + "/sockets/a")
            }
        }
    }

    @Test func withoutFilesItLeavesFilesAlone() throws {
        let place = try Place()
        try behind(place, files: false) { wall in
            #expect(!wall.coversFiles)
            #expect(Self.outcome { open(place.folder + "/beside", O_RDONLY) } == 0)
        }
    }

    @Test(
        .enabled(if: hasLandlock(6, "6.12"), "needs Landlock of Linux 6.12"), arguments: [true, false])
    func networkAndSignalsAreOut(files: Bool) throws {
        let place = try Place()
        @Sendable func attempts() -> [Int32] {
            let tcp = OwnedDescriptor(adopting: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(9).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let connecting = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    Self.outcome {
                        connect(
                            tcp.rawValue, __CONST_SOCKADDR_ARG(__sockaddr__: address),
                            socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
            return [connecting, Self.outcome { kill(getppid(), 0) }]
        }
        #expect(attempts()[1] == 0, "without the wall")
        try behind(place, files: files) { _ in #expect(attempts() == [EACCES, EPERM]) }
    }
}

/// Says if not.
private func hasLandlock(_ version: Int32, _ linux: String) -> Bool {
    if vfs_landlock_version() >= version { return true }
    let line = "skipped: LandlockTests: needs Landlock of Linux \(linux), turned on\n"
    _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
    return false
}
