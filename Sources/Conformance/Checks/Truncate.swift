// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// truncate(2) and ftruncate(2), which differ only in how they name the file.
let truncateChecks: [Check] =
    [
        Check(
            "truncate/permissions",
            "EACCES: the file must be writable to the caller, each class by its own bits"
        ) {
            for (user, shift) in [(User.owner, UInt32(6)), (.member, 3), (.stranger, 0)] {
                for bits: UInt32 in 0...7 {
                    let mode = (bits << shift) | (~(0o7 << shift) & (bits & 2 == 0 ? 0o777 : 0))
                    try make(file: "x", holding: [1, 2, 3], mode: mode, owner: .owner)
                    let allowed = bits & 2 == 2
                    try when("mode \(octal(mode))") {
                        try expect(.truncate("x", 1), allowed ? nil : .EACCES, by: user)
                        try expect("x", .size(allowed ? 1 : 3))
                    }
                    discard("x")
                }
            }
        },
        Check("truncate/other-kinds", "EISDIR: a directory; EINVAL: what is no regular file either") {
            try make(.directory, "d", mode: 0o777)
            try expect(.truncate("d", 0), .EISDIR, moves: [("d", .none)])
            try expect(.truncate("d", 0), .EISDIR, by: .stranger)
            for kind in [Kind.fifo, .block, .character, .socket] {
                try make(kind, "x", mode: 0o666)
                try expect(.truncate("x", 0), .EINVAL)
                discard("x")
            }
        },
        Check("truncate/follows-links", "truncate(2): a symbolic link is followed") {
            try make(file: "x", holding: [1, 2, 3])
            try expect(.symlink("x", "link"))
            try expect(.truncate("link", 2))
            try expect("x", .size(2))
        },
        Check("truncate/running-program", "ETXTBSY: a program that runs is not truncated") {
            try whileRunning("program") {
                try expect(.truncate("program", 0), .ETXTBSY, moves: [("program", .none)])
            }
        },
        Check("truncate/failure-changes-nothing", "truncate(2): a refusal leaves size and times") {
            try make(file: "x", holding: [1, 2, 3], mode: 0o444, owner: .owner)
            for user in [User.owner, .stranger] {
                try expect(.truncate("x", 0), .EACCES, by: user, moves: [("x", .none)])
            }
            try expect("x", .size(3))
        },
        Check("ftruncate/not-open-for-writing", "EINVAL or EBADF: the descriptor is not one to write to") {
            try make(file: "x", holding: [1, 2, 3])
            try opened("x", O_RDONLY) { try expect(.ftruncate($0, 0), oneOf: [.EINVAL, .EBADF]) }
            try make(.directory, "d")
            try opened("d", O_RDONLY) { try expect(.ftruncate($0, 0), oneOf: [.EINVAL, .EBADF]) }
            try expect(.ftruncate(-1, 0), .EBADF)
            try expect("x", .size(3))
        },
        Check("ftruncate/other-kinds", "EINVAL: the descriptor is not of a regular file") {
            try make(.fifo, "x")
            try opened("x", O_RDWR) { try expect(.ftruncate($0, 0), .EINVAL) }
        },
        Check(
            "ftruncate/rights-of-the-descriptor",
            "ftruncate(2): the mode no longer counts when the file is open"
        ) {
            try by(.owner) {
                try opened("x", O_RDWR | O_CREAT, mode: 0) { file in
                    try expect(.ftruncate(file, 100))
                    try expect(file, .size(100), .mode(0))
                    try expect(.ftruncate(file, 0))
                }
            }
        },
        Check("ftruncate/offset-stays", "ftruncate(2): the file offset does not change") {
            try opened("x", O_RDWR | O_CREAT) { file in
                try write(file, [UInt8](repeating: 1, count: 100), at: 0)
                _ = lseek(file, 60, SEEK_SET)
                try expect(.ftruncate(file, 10))
                try expect("the offset", gives: 60, lseek(file, 0, SEEK_CUR))
                let count = unsafe Glibc.write(file, [UInt8]([5]), 1)
                try expect("write(2)", gives: 1, count)
                try expect(file, .size(61))
                let gap = try read(file, 60, at: 0)
                try expect(
                    gap.dropFirst(10).allSatisfy { $0 == 0 }, "the gap after the cut does not read as zeros")
            }
        },
    ] + ["truncate", "ftruncate"].flatMap(sizeChecks)

private func sizeChecks(_ area: String) -> [Check] {
    /// Makes the area's call on a file that is there.
    @Sendable func cut(_ path: Path, _ length: Int, by user: User? = nil, _ error: Errno? = nil) throws {
        if area == "truncate" { return try expect(.truncate(path, length), error, by: user) }
        let steps: @Sendable () throws -> Void = {
            try opened(path, O_RDWR) { try expect(.ftruncate($0, length), error) }
        }
        if let user { try by(user, steps) } else { try steps() }
    }
    /// The same without an expectation: its error, or nil.
    @Sendable func outcome(_ path: Path, _ length: Int) -> Errno? {
        do throws(Errno) {
            if area == "truncate" {
                _ = try Call.truncate(path, length)()
            } else {
                let file = OwnedDescriptor(adopting: try Call.open(path, O_RDWR)())
                _ = try Call.ftruncate(file.rawValue, length)()
            }
            return nil
        } catch { return error }
    }
    return [
        Check("\(area)/sizes", "\(area)(2): the file gets exactly that size; what is new reads as zeros") {
            let data = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 % 251 + 1) }
            for size in [0, 1, 4095, 4096, 4097, 9_999, 10_000, 10_001, 16_384, 100_000] {
                try make(file: "x", holding: data)
                try cut("x", size)
                try when("cut to \(size)") {
                    try expect("x", .size(size))
                    let expected = data.prefix(size) + [UInt8](repeating: 0, count: max(0, size - data.count))
                    try expect(
                        try contents("x") == Array(expected),
                        "the contents are not what they were, then zeros")
                }
                discard("x")
            }
        },
        Check("\(area)/zeros-after-regrowth", "\(area)(2): what was cut off does not come back") {
            try make(file: "x", holding: [UInt8](repeating: 0xAA, count: 9000))
            try cut("x", 5)
            try cut("x", 9000)
            let seen = try contents("x")
            try expect(seen.count == 9000, "the size is \(seen.count), expected 9000")
            try expect(seen.dropFirst(5).allSatisfy { $0 == 0 }, "bytes that were cut off are there again")
        },
        Check(
            "\(area)/times",
            "\(area)(2): a size that changes marks the contents; a new one that is the old may"
        ) {
            try make(file: "x", holding: [1, 2, 3], mode: 0o666, owner: .owner)
            for (size, user) in [(1, User.root), (1000, .owner), (0, .stranger)] {
                try expect(moves: [("x", .contents), (".", .none)], by: "\(area) to \(size)") {
                    try cut("x", size, by: user)
                }
            }
            try expect("x", .uid(4001), .mode(0o666))
        },
        Check("\(area)/negative", "EINVAL: the length is negative") {
            try make(file: "x", holding: [1, 2, 3])
            for length in [-1, -4096, Int.min] { try cut("x", length, .EINVAL) }
            try expect("x", .size(3))
        },
        Check(
            "\(area)/far",
            "EFBIG or EINVAL: larger than files can be; otherwise the size is what was asked for"
        ) {
            try make(.regular, "x")
            for length in [1 << 31, 1 << 32 + 5, 999_999_999_999_999, Int.max] {
                let error = outcome("x", length)
                if let error {
                    try expect(
                        [Errno.EFBIG, .EINVAL].contains(error),
                        "\(area) to \(length) gave \(name(of: error)), expected success, EFBIG or EINVAL")
                } else {
                    try expect("x", .size(length))
                    try cut("x", 0)
                }
            }
        },
        Check(
            "\(area)/drops-set-id",
            "inode(7): a cut by an unprivileged user clears set-user-ID and set-group-ID"
        ) {
            for (mode, after) in [
                (UInt32(0o6777), UInt32(0o777)), (0o4766, 0o766), (0o2777, 0o777), (0o1777, 0o1777),
            ] {
                try make(file: "x", holding: [1, 2, 3], owner: .owner)
                try expect(.chown("x", 4001, 0))
                try expect(.chmod("x", mode))
                try cut("x", 1, by: .stranger)
                try when("mode \(octal(mode))") { try expect("x", .mode(after)) }
                discard("x")
            }
        },
        Check("\(area)/open-files-see-it", "\(area)(2): every descriptor of the file sees its new size") {
            try make(file: "x", holding: [1, 2, 3, 4])
            try opened("x", O_RDONLY) { file in
                try cut("x", 2)
                try expect(file, .size(2))
                try expect("the contents", gives: [1, 2], try read(file, 9, at: 0))
                try cut("x", 3)
                try expect("the contents", gives: [1, 2, 0], try read(file, 9, at: 0))
            }
        },
    ]
}

let allocateChecks: [Check] = [
    Check(
        "posix_fallocate/extends",
        "posix_fallocate(3): the file reaches to the end of the range and reads as zeros"
    ) {
        for (offset, length) in [(0, 1), (0, 8192), (4096, 1), (100, 70_000)] {
            try opened("x", O_RDWR | O_CREAT | O_EXCL) { file in
                try expect(.posix_fallocate(file, offset, length))
                try expect(file, .size(offset + length))
                try expect(
                    try read(file, 100_000, at: 0).allSatisfy { $0 == 0 },
                    "what was allocated does not read as zeros")
            }
            discard("x")
        }
    },
    Check(
        "posix_fallocate/keeps-contents",
        "posix_fallocate(3): what the file holds stays, and so does a larger size"
    ) {
        try make(file: "x", holding: [UInt8](repeating: 7, count: 10_000))
        try opened("x", O_RDWR) { file in
            try expect(.posix_fallocate(file, 10, 100))
            try expect(file, .size(10_000))
            try expect(.posix_fallocate(file, 9_000, 3_000))
            try expect(file, .size(12_000))
            let seen = try read(file, 20_000, at: 0)
            try expect(seen.prefix(10_000).allSatisfy { $0 == 7 }, "the contents changed")
            try expect(seen.dropFirst(10_000).allSatisfy { $0 == 0 }, "the new part does not read as zeros")
        }
    },
    Check("posix_fallocate/allocates", "posix_fallocate(3): the range is really on the disk") {
        try opened("x", O_RDWR | O_CREAT) { file in
            try expect(.posix_fallocate(file, 0, 1 << 20))
            let blocks = try status(of: file).blocks
            try expect(
                blocks >= 2048,
                "fstat(descriptor) shows \(blocks) blocks of 512 bytes, expected at least 2048")
        }
    },
    Check(
        "posix_fallocate/times",
        "posix_fallocate(3): a file that grows is marked as changed, not one that is refused"
    ) {
        try make(.regular, "x")
        try opened("x", O_RDWR) { file in
            try expect(moves: [("x", .change)], byEither: .posix_fallocate(file, 0, 1000))
            try expect(.posix_fallocate(file, 0, -1), .EINVAL, moves: [("x", .none)])
        }
    },
    Check("posix_fallocate/invalid-range", "EINVAL: a length that is not positive, an offset below zero") {
        try opened("x", O_RDWR | O_CREAT) { file in
            for (offset, length) in [(0, 0), (0, -1), (-1, 1), (-1, -1), (5, 0)] {
                try expect(.posix_fallocate(file, offset, length), .EINVAL)
            }
            try expect(file, .size(0))
        }
    },
    Check("posix_fallocate/too-far", "EFBIG: the range ends beyond the largest file") {
        try opened("x", O_RDWR | O_CREAT) { file in
            try expect(.posix_fallocate(file, Int.max - 1, 10), .EFBIG)
            try expect(file, .size(0))
        }
    },
    Check("posix_fallocate/not-open-for-writing", "EBADF: the descriptor is not one to write to") {
        try make(.regular, "x")
        try opened("x", O_RDONLY) { try expect(.posix_fallocate($0, 0, 10), .EBADF) }
        try expect(.posix_fallocate(-1, 0, 10), .EBADF)
    },
    Check("posix_fallocate/other-kinds", "ESPIPE: a pipe; ENODEV or EBADF: what is no regular file either") {
        try make(.fifo, "x")
        try opened("x", O_RDWR) { try expect(.posix_fallocate($0, 0, 10), oneOf: [.ESPIPE]) }
        try make(.directory, "d")
        try opened("d", O_RDONLY) {
            try expect(.posix_fallocate($0, 0, 10), oneOf: [.EBADF, .ENODEV, .EISDIR])
        }
    },
    Check(
        "posix_fallocate/drops-set-id", "inode(7): an allocation by an unprivileged user clears set-user-ID"
    ) {
        try make(.regular, "x", owner: .owner)
        try expect(.chmod("x", 0o4777))
        try by(.stranger) { try opened("x", O_RDWR) { try expect(.posix_fallocate($0, 0, 100)) } }
        try expect("x", .mode(0o777), .size(100))
    },
]

/// Whether the modification time moves with the change time is the file system's choice.
private func expect(moves effects: [(path: Path, times: Times)], byEither call: Call) throws {
    let before = try effects.map { try status($0.path).change }
    try waitForClock()
    try expect(call)
    for (effect, old) in zip(effects, before) {
        try expect(
            try status(effect.path).change > old,
            "\(call) left the change time of \(effect.path), expected it to move")
    }
}
