// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

@testable import Conformance

/// How checks end, and the words of their failures.
@Suite struct FrameTests {
    private func outcome(_ needs: [Need] = [], _ body: @escaping @Sendable () throws -> Void) -> Outcome {
        Runner(directory: "/dev/shm").run(Check("test/frame", "", needs: needs, body: body))
    }

    @Test func callsSayWhatTheyDid() {
        #expect(outcome { try expect(.mkdir("d")) } == .passed)
        #expect(outcome { try expect(.rmdir("d"), .ENOENT) } == .passed)
        #expect(outcome { try expect(.rmdir("d")) } == .failed("rmdir(d) gave ENOENT, expected success"))
        #expect(
            outcome { try expect(.link("a", "b"), .EEXIST) }
                == .failed("link(a, b) gave ENOENT, expected EEXIST"))
        #expect(
            outcome { try expect(.mkdir("d", 0o700), .EEXIST) }
                == .failed("mkdir(d, 0700) succeeded, expected EEXIST"))
        #expect(
            outcome { try expect(.unlink(".."), oneOf: [.EBUSY, .EIO]) }
                == .failed("unlink(..) gave EISDIR, expected EBUSY or EIO"))
        #expect(
            outcome { try opened("x", O_RDWR | O_APPEND) { _ in } }
                == .failed("open(x, O_RDWR|O_APPEND) gave ENOENT, expected success"))
    }

    @Test func factsSayWhatTheySaw() {
        let table: [(Fact, String)] = [
            (.kind(.directory), "type regular file, expected directory"),
            (.mode(0o4755), "mode 0640, expected 4755"),
            (.uid(7), "uid \(geteuid()), expected 7"), (.gid(7), "gid \(getegid()), expected 7"),
            (.links(3), "link count 1, expected 3"), (.size(9), "size 2, expected 9"),
            (.represents(1), "device 0, expected 1"),
            (.access(Time(5)), "access time 1.000000000, expected 5.000000000"),
            (.modification(Time(5)), "modification time 2.000000003, expected 5.000000000"),
        ]
        for (fact, words) in table {
            let seen = outcome {
                try make(file: "x", holding: [1, 2], mode: 0o640)
                try expect(.utimensat("x", (Time(1), Time(2, nanoseconds: 3))))
                try expect("x", fact)
            }
            #expect(seen == .failed("lstat(x) shows " + words))
        }
    }

    @Test func timesThatMoveAndTimesThatStay() {
        #expect(
            outcome {
                try make(.regular, "x")
                try expect(.chmod("x", 0o600), moves: [("x", .contents)])
            }.reason?.hasPrefix("chmod(x, 0600) left the modification time of x at ") == true)
        #expect(
            outcome {
                try make(.regular, "x")
                try expect(.chmod("x", 0o600), moves: [("x", .none)])
            } == .failed("chmod(x, 0600) moved the change time of x, expected it to stay"))
    }

    @Test(.enabled(if: geteuid() == 0, "needs root")) func usersAreThreads() {
        let seen = outcome {
            let ids = try by(User("somebody", uid: 11, gid: 12, groups: [13, 14], umask: 0o027)) {
                var groups = [gid_t](repeating: 0, count: 8)
                let count = getgroups(8, &groups)
                return [getuid(), geteuid(), getgid(), getegid()] + groups.prefix(Int(count)) + [umask(0)]
            }
            try expect("the user's ids", gives: [11, 11, 12, 12, 13, 14, 0o027], ids)
            try expect("our own", gives: [0, 0, 0], [getuid(), getegid(), umask(0)])
            try expect(.open("x", O_RDWR), by: .stranger)
        }
        #expect(
            seen
                == .failed(
                    "as a stranger (uid 4002, gid 4002): open(x, O_RDWR) gave ENOENT, expected success"))
    }

    @Test func anotherProcessHasItsOwnLocksAndDescriptors() {
        /// fcntl(2) of the whole file, which belongs to a process.
        @Sendable func lock(_ file: Int32, _ type: Int32) -> Call {
            Call("fcntl(F_SETLK)") {
                var lock = flock()
                lock.l_type = Int16(type)
                return vfs_fcntl_lock(file, F_SETLK, &lock)
            }
        }
        let seen = outcome {
            try opened("x", O_RDWR | O_CREAT) { file in
                try expect(lock(file, F_WRLCK))
                try inOtherProcess {
                    try expect(lock(file, F_WRLCK), .EAGAIN)
                    _ = close(file)
                }
                // Closed there, open and locked here.
                try inOtherProcess { try expect(lock(file, F_RDLCK), .EAGAIN) }
            }
        }
        #expect(seen == .passed)
    }

    @Test func aCheckThatHangsIsGivenUp() throws {
        // Waits for the other end of a pipe, which nobody writes.
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        let check = Check("test/hangs", "", needs: []) {
            var byte: UInt8 = 0
            _ = Glibc.read(reader, &byte, 1)
        }
        let seen = Runner(directory: "/dev/shm", deadlineSeconds: 1).run(check)
        #expect(seen == .failed("did not return in 1 s"))
        close(writer)  // lets it go
    }

    @Test func whatIsMissingIsSaid() throws {
        #expect(outcome { throw Unsupported("no such thing") } == .unsupported("no such thing"))
        #expect(outcome { throw Errno.EIO } == .failed("Errno(rawValue: 5)"))
        let seen = Runner(directory: "/proc").run(Check("test/nowhere", "", needs: []) {})
        #expect(seen.reason?.hasPrefix("no directory for the check in /proc: ") == true)
    }

    @Test func nothingIsLeftBehind() throws {
        let directory = try TemporaryDirectory(prefix: "conformance-test.")
        let check = Check("test/litter", "", needs: []) {
            try make(.directory, "d", mode: 0)
            try make(.directory, "e")
            try make(.fifo, "e/\u{7}")
            try make(.regular, Path([0x65, 0x2F, 0xFF]))
            try expect(.symlink("/", "e/link"))
            if geteuid() == 0, Need.flags.missing() == nil {
                try opened("e", O_RDONLY) { try setRestrictions(of: $0, to: UInt32(FS_IMMUTABLE_FL)) }
            }
        }
        #expect(Runner(directory: directory.path).run(check) == .passed)
        #expect(try Files.names(in: directory.path) == [])
    }

    @Test func pathsOfEveryLength() {
        for count in 1...9 { #expect(Path.roundabout(to: "x", byteCount: count).bytes.count == count) }
        #expect(Path.roundabout(to: "x", byteCount: 4).description == ".//x")
        #expect(Path.name(byteCount: 300).description.hasSuffix("(300 bytes)"))
        #expect(Path([1, 0xFF]).description == "\\x01\\xff")
        #expect(("a" / "b" as Path).bytes == Array("a/b".utf8))
    }
}

extension Outcome {
    /// Of a failure or of what is unsupported.
    var reason: String? {
        switch self {
        case .passed: nil
        case .failed(let reason), .unsupported(let reason): reason
        }
    }
}
