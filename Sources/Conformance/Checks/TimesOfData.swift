// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

let timeChecks: [Check] = [
    Check("times/write", "write(2): moves modification and change time") {
        try store("some", in: "f")
        try expect(moves: [("f", .contents)], by: "write") { try overwrite("f", "more") }
        try expect(moves: [("f", .contents)], by: "write beyond the end") { try overwrite("f", "x", at: 100) }
    },
    Check("times/read-changes-nothing", "read(2): leaves modification and change time") {
        try store("some", in: "f")
        try expect(moves: [("f", .none)], by: "read") { try expect("f", holds: "some") }
        try expect(moves: [("f", .none)], by: "stat") { try expect(.stat("f")) }
    },
    Check("times/open-and-close-change-nothing", "open(2): without O_TRUNC no time moves") {
        try store("some", in: "f")
        try expect(.open("f", O_RDWR), moves: [("f", .none)])
        try expect(.open("f", O_WRONLY | O_CREAT), moves: [("f", .none), (".", .none)])
    },
    Check("times/truncation", "truncate(2), open(2): a changed size moves both times") {
        try store("some", in: "f")
        try expect(.truncate("f", 2), moves: [("f", .contents)])
        try expect(.truncate("f", 9), moves: [("f", .contents)])
        try expect(.open("f", O_WRONLY | O_TRUNC), moves: [("f", .contents)])
    },
    Check("times/attributes", "inode(7): a changed attribute moves the change time alone") {
        try store("some", in: "f")
        try expect(.chmod("f", 0o600), moves: [("f", .change)])
        try expect(.lchown("f", 4001, 4001), moves: [("f", .change)])
        try expect(.link("f", "g"), moves: [("f", .change), (".", .contents)])
        try expect(.unlink("g"), moves: [("f", .change), (".", .contents)])
    },
    Check("times/names", "inode(7): a new, moved or removed name moves its directory's times") {
        try make(.directory, "d")
        try make(.directory, "e")
        try expect(.open("d/f", O_WRONLY | O_CREAT), moves: [("d", .contents), ("e", .none)])
        try expect(.rename("d/f", "e/f"), moves: [("d", .contents), ("e", .contents)])
        try expect(.symlink("t", "e/s"), moves: [("d", .none), ("e", .contents)])
        try expect(.unlink("e/f"), moves: [("e", .contents)])
    },
    Check("times/mapping", "msync(2): what is stored in a shared mapping moves the modification time") {
        try store(String(repeating: "x", count: 5000), in: "f")
        let file = try OpenFile("f", O_RDWR)
        try expect(moves: [("f", .contents)], by: "a store and msync") {
            let map = try MappedFile(file, count: 4096)
            map.store([1, 2, 3], at: 100)
            try map.synchronize()
        }
        file.close()
    },
    Check("times/nanoseconds", "utimensat(2): each nanosecond is kept", needs: []) {
        try store("", in: "f")
        for nanoseconds in [0, 1, 999_999_999, 123_456_789] {
            let times = (Time(1_000_000, nanoseconds: nanoseconds), Time(2_000_000, nanoseconds: nanoseconds))
            try expect(.utimensat("f", times))
            try expect("f", .access(times.0), .modification(times.1))
        }
    },
    Check("times/stay-over-close", "utimensat(2): set times outlive close(2) of a file that was written") {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write("data")
        try expect(.utimensat(file.again, (Time(500), Time(600))))
        file.close()
        try expect("f", .modification(Time(600)), .access(Time(500)))
        let again = try OpenFile("f", O_RDONLY)
        try expect(again.number, .modification(Time(600)))
        again.close()
    },
    Check("times/access-time", "mount(8): reading moves the access time forward or, as mounted, not at all") {
        try store("some", in: "f")
        try expect(.utimensat("f", (Time(1000), Time(2000))))
        try expect("f", holds: "some")
        let seen = try status("f")
        try expect(seen.access >= Time(1000), "the access time went back to \(seen.access)")
        try expect(seen.modification == Time(2000), "reading moved the modification time")
        let quiet = try OpenFile("f", O_RDONLY | O_NOATIME)
        let before = try status("f").access
        _ = try quiet.readText()
        quiet.close()
        try expect("f", .access(before))
    },
    Check("times/present", "time(7): a new file's times are the present", needs: []) {
        var now = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
        try store("data", in: "f")
        let seen = try status("f")
        for time in [seen.access, seen.modification, seen.change] {
            // The clock may be another machine's.
            try expect(
                abs(time.seconds - now.tv_sec) < 60, "a time is \(time), but it is \(now.tv_sec) now")
        }
    },
]

private func overwrite(_ path: Path, _ text: String, at offset: Int = 0) throws {
    let file = try OpenFile(path, O_WRONLY)
    try file.write(text, at: offset)
    file.close()
}
