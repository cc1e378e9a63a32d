// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

private let old = Time(1_000_000_000, nanoseconds: 123_456_789)
private let other = Time(1_234_567_890, nanoseconds: 987_654_321)

let utimensatChecks: [Check] = [
    Check("utimensat/every-kind", "utimensat(2): sets both times of every kind and marks its status") {
        for kind in Kind.allCases {
            try make(kind, "x", owner: .owner)
            let call = Call.utimensat("x", (old, other), flags: AT_SYMLINK_NOFOLLOW)
            try when("a \(kind.rawValue)") {
                let before = try status("x").change
                try waitForClock()
                try expect(call)
                try expect("x", .access(old), .modification(other))
                try expect(
                    try status("x").change > before, "\(call) left the change time, expected it to move")
            }
            discard("x")
        }
    },
    Check("utimensat/by-descriptor", "futimens(3): sets the times of an open file") {
        try make(.regular, "x")
        try opened("x", O_RDONLY) { file in
            try expect(
                Call("futimens(descriptor)") { unsafe futimens(file, [old.timespec, other.timespec]) })
            try expect(file, .access(old), .modification(other))
        }
        try expect("x", .access(old), .modification(other))
    },
    Check("utimensat/nanoseconds", "utimensat(2): times have the nanoseconds they were given") {
        try make(.regular, "x")
        for nanoseconds in [0, 1, 999, 1000, 500_000_000, 999_999_999] {
            let time = Time(1_500_000_000, nanoseconds: nanoseconds)
            try expect(.utimensat("x", (time, time)))
            try expect("x", .access(time), .modification(time))
        }
    },
    Check("utimensat/bad-nanoseconds", "EINVAL: nanoseconds outside 0…999,999,999 that are no special value")
    {
        try make(.regular, "x")
        try expect(.utimensat("x", (old, other)))
        for bad in [-1, 1_000_000_000, Int.max, -1_000_000] {
            try expect(.utimensat("x", (Time(1, nanoseconds: bad), old)), .EINVAL, moves: [("x", .none)])
            try expect(.utimensat("x", (old, Time(1, nanoseconds: bad))), .EINVAL)
        }
        try expect("x", .access(old), .modification(other))
    },
    Check("utimensat/now", "UTIME_NOW: the present time, for each of the two or both, and as NULL means it") {
        for (times, access, modification) in [
            ((Time.now, Time.now), true, true), ((.now, other), true, false), ((old, .now), false, true),
            (nil, true, true),
        ] as [((Time, Time)?, Bool, Bool)] {
            try make(.regular, "x")
            try expect(.utimensat("x", (old, other)))
            let before = try status("x").change
            try waitForClock()
            try expect(.utimensat("x", times.map { (access: $0.0, modification: $0.1) }))
            let after = try status("x")
            for (word, isNow, time, given) in [
                ("access", access, after.access, old),
                ("modification", modification, after.modification, other),
            ] {
                try expect(
                    isNow ? time >= before : time == given,
                    "the \(word) time is \(time), expected \(isNow ? "the present" : "\(given)")")
            }
            discard("x")
        }
    },
    Check("utimensat/omit", "UTIME_OMIT: the time stays; both: nothing happens") {
        for kind in Kind.allCases {
            try make(kind, "x")
            let nofollow = AT_SYMLINK_NOFOLLOW
            try expect(.utimensat("x", (old, other), flags: nofollow))
            try expect(.utimensat("x", (.omit, old), flags: nofollow))
            try expect("x", .access(old), .modification(old))
            try expect(.utimensat("x", (other, .omit), flags: nofollow))
            try expect("x", .access(other), .modification(old))
            try expect(.utimensat("x", (.omit, .omit), flags: nofollow), moves: [("x", .none)])
            try expect("x", .access(other), .modification(old))
            discard("x")
        }
    },
    Check("utimensat/omit-needs-no-right", "utimensat(2): who omits both times needs no permission") {
        try make(.regular, "x", mode: 0, owner: .owner)
        try expect(.utimensat("x", (.omit, .omit)), by: .stranger)
    },
    Check(
        "utimensat/links",
        "utimensat(2): a link is followed, and with AT_SYMLINK_NOFOLLOW it has times of its own"
    ) {
        try make(.regular, "x")
        try expect(.symlink("x", "link"))
        try expect(.utimensat("link", (old, old), flags: AT_SYMLINK_NOFOLLOW), moves: [("x", .none)])
        try expect("link", .modification(old))
        try expect(.utimensat("link", (other, other)))
        try expect("x", .access(other), .modification(other))
        try expect("link", .modification(old))
    },
    Check(
        "utimensat/now-needs-write-or-ownership",
        "EACCES: the present time is for the owner and who may write"
    ) {
        for (user, mode, allowed) in [
            (User.owner, UInt32(0), true), (.owner, 0o400, true), (.member, 0o060, true),
            (.member, 0o606, false),
            (.stranger, 0o006, true), (.stranger, 0o664, false), (.stranger, 0o004, false), (.root, 0, true),
        ] {
            for kind in [Kind.regular, .directory, .fifo] {
                try make(kind, "x", mode: mode, owner: .owner)
                for call in [Call.utimensat("x", nil), .utimensat("x", (.now, .now))] {
                    try when("a \(kind.rawValue) of mode \(octal(mode))") {
                        try expect(call, allowed ? nil : .EACCES, by: user)
                    }
                }
                discard("x")
            }
        }
    },
    Check(
        "utimensat/given-times-need-ownership",
        "EPERM: other times than the present are for the owner and root"
    ) {
        for kind in Kind.allCases {
            try make(kind, "x", mode: 0o666, owner: .owner)
            for times in [
                (old, other), (.now, other), (old, .now), (.now, .omit), (.omit, .now), (.omit, old),
            ] as [(Time, Time)] {
                let call = Call.utimensat("x", (times.0, times.1), flags: AT_SYMLINK_NOFOLLOW)
                try when("a \(kind.rawValue)") {
                    for user in [User.stranger, .member] { try expect(call, .EPERM, by: user) }
                    for user in [User.owner, .root] { try expect(call, by: user) }
                }
            }
            discard("x")
        }
    },
    Check("utimensat/far-away", "utimensat(2): times before 1970 and after 2038 are kept") {
        try make(.regular, "x")
        // Every file system of today keeps 34 bits of seconds and more.
        for seconds in [-1, -86_400, -1 << 31 + 1, 0, 1, 1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, 1 << 33]
        {
            let time = Time(seconds, nanoseconds: 5)
            try expect(.utimensat("x", (time, time)))
            try expect("x", .access(time), .modification(time))
        }
    },
    Check("utimensat/swapped", "utimensat(2): the access time may be after or before the modification time") {
        try make(.directory, "d")
        for (access, modification) in [(old, other), (other, old)] {
            try expect(.utimensat("d", (access, modification)))
            try expect("d", .access(access), .modification(modification))
        }
    },
    Check("utimensat/times-move-on", "stat(3p): given times give way to those of the next change") {
        try make(file: "x", holding: [1])
        try expect(.utimensat("x", (old, old)))
        try opened("x", O_RDWR) { try write($0, [2], at: 0) }
        try expect(try status("x").modification > old, "write(2) left the modification time at \(old)")
        try expect(.utimensat(".", (old, old)))
        try make(.regular, "y")
        try expect(
            try status(".").modification > old, "a new name left the directory's modification time at \(old)")
    },
]

/// mknod(2), beyond what all that make an object have in common.
let nodeChecks: [Check] = [
    Check("mknod/devices", "mknod(2): a device node keeps type and numbers") {
        for kind in [Kind.block, .character] {
            for device: UInt64 in [0x103, 0xF009, 0, 0xFFFFF, 0x12_345F_F0FF & 0xFFFF_FFFF] {
                try expect(.mknod("x", kind.bits | 0o640, device: device))
                try expect(
                    "x", .kind(kind), .mode(0o640), .represents(device), .uid(0), .gid(0), .links(1), .size(0)
                )
                discard("x")
            }
        }
    },
    Check("mknod/devices-need-privilege", "EPERM: an unprivileged user makes no device nodes") {
        for kind in [Kind.block, .character] {
            try expect(
                .mknod("x", kind.bits | 0o644, device: Kind.nullDevice), .EPERM, by: .owner,
                moves: [(".", .none)])
            try expect(.lstat("x"), .ENOENT)
        }
        for kind in [Kind.regular, .fifo, .socket] {
            try expect(.mknod("x", kind.bits | 0o644), by: .owner)
            discard("x")
        }
    },
    Check("mknod/device-times", "mknod(2): marks the contents of the directory") {
        for kind in [Kind.block, .character] {
            try expect(.mknod("x", kind.bits | 0o644, device: Kind.unusedDevice), moves: [(".", .contents)])
            discard("x")
        }
    },
    Check(
        "mknod/other-types",
        "EPERM or EINVAL: no directories, no links, no unknown types; no type is a regular file"
    ) {
        try expect(.mknod("x", Kind.directory.bits | 0o755), oneOf: [.EPERM, .EINVAL])
        try expect(.mknod("x", Kind.symbolicLink.bits | 0o755), oneOf: [.EPERM, .EINVAL])
        try expect(.mknod("x", 0o150644), .EINVAL)
        try expect(.mknod("x", 0o640))
        try expect("x", .kind(.regular), .mode(0o640))
    },
]
