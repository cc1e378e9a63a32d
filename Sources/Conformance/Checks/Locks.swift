// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// fcntl(2) with a POSIX lock; `wait` with F_SETLKW.
private func posix(
    _ file: OpenFile, _ type: Int32, _ start: Int = 0, _ length: Int = 0, command: Int32 = F_SETLK
) -> Call {
    let names = [F_RDLCK: "F_RDLCK", F_WRLCK: "F_WRLCK", F_UNLCK: "F_UNLCK"]
    let commands = [
        F_SETLK: "F_SETLK", F_SETLKW: "F_SETLKW", F_OFD_SETLK: "F_OFD_SETLK", F_OFD_SETLKW: "F_OFD_SETLKW",
    ]
    let text = "fcntl(\(file.path), \(commands[command] ?? ""), \(names[type] ?? ""), \(start), \(length))"
    return Call(text) {
        var lock = range(type, start, length)
        return unsafe vfs_fcntl_lock(file.number, command, &lock)
    }
}

private func range(_ type: Int32, _ start: Int, _ length: Int) -> flock {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = start
    lock.l_len = length
    return lock
}

/// Who would be in the way of a lock: its type, start and length; nil: nobody.
private func conflict(_ file: OpenFile, _ type: Int32, _ start: Int = 0, _ length: Int = 0) throws -> [Int]? {
    var lock = range(type, start, length)
    _ = try result(of: "fcntl(F_GETLK)") { () throws(Errno) in
        Int(try systemCall { unsafe vfs_fcntl_lock(file.number, F_GETLK, &lock) })
    }
    return lock.l_type == F_UNLCK ? nil : [Int(lock.l_type), lock.l_start, lock.l_len]
}

private func whole(_ file: OpenFile, _ operation: Int32) -> Call {
    Call("flock(\(file.path), \(operation))") { flock(file.number, operation) }
}

private func lockable() throws -> OpenFile {
    try store("some data to lock", in: "f", mode: 0o666)
    return try OpenFile("f", O_RDWR)
}

let lockChecks: [Check] = [
    Check("locks/ranges", "fcntl(2): locks of two owners conflict where they overlap") {
        let file = try lockable()
        try expect(posix(file, F_WRLCK, 10, 10))
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_WRLCK, 0, 10))
            try expect(posix(other, F_WRLCK, 20, 0))
            try expect(posix(other, F_WRLCK, 9, 2), oneOf: [.EAGAIN, .EACCES])
            try expect(posix(other, F_RDLCK, 19, 1), oneOf: [.EAGAIN, .EACCES])
            try expect(posix(other, F_RDLCK, 0, 0), oneOf: [.EAGAIN, .EACCES])
            other.close()
        }
        file.close()
    },
    Check("locks/shared", "fcntl(2): read locks go together, a write lock does not join them") {
        let file = try lockable()
        try expect(posix(file, F_RDLCK))
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_RDLCK))
            try expect(posix(other, F_WRLCK), oneOf: [.EAGAIN, .EACCES])
            other.close()
        }
        file.close()
    },
    Check("locks/who-is-in-the-way", "fcntl(2): F_GETLK tells the lock that conflicts") {
        let file = try lockable()
        try expect(posix(file, F_WRLCK, 5, 7))
        try expect("F_GETLK of the owner", gives: nil, try conflict(file, F_WRLCK))
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect("F_GETLK", gives: [Int(F_WRLCK), 5, 7], try conflict(other, F_RDLCK))
            try expect("F_GETLK beside it", gives: nil, try conflict(other, F_WRLCK, 0, 5))
            other.close()
        }
        file.close()
    },
    Check("locks/upgrade-and-split", "fcntl(2): an owner changes and splits its own locks") {
        let file = try lockable()
        try expect(posix(file, F_RDLCK, 0, 30))
        try expect(posix(file, F_WRLCK, 10, 10))
        try expect(posix(file, F_UNLCK, 0, 5))
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_WRLCK, 0, 5))
            try expect(posix(other, F_UNLCK, 0, 5))
            try expect(posix(other, F_RDLCK, 5, 5))
            try expect(posix(other, F_RDLCK, 10, 1), oneOf: [.EAGAIN, .EACCES])
            try expect(posix(other, F_RDLCK, 20, 10))
            try expect(posix(other, F_WRLCK, 29, 1), oneOf: [.EAGAIN, .EACCES])
            other.close()
        }
        file.close()
    },
    Check("locks/needs-the-right-mode", "fcntl(2): EBADF for a read lock without reading and so on") {
        try store("data", in: "f")
        let (reader, writer) = (try OpenFile("f", O_RDONLY), try OpenFile("f", O_WRONLY))
        try expect(posix(reader, F_WRLCK), .EBADF)
        try expect(posix(writer, F_RDLCK), .EBADF)
        try expect(posix(reader, F_RDLCK))
        try expect(posix(reader, F_UNLCK))
        try expect(posix(writer, F_WRLCK))
        reader.close()
        writer.close()
    },
    Check("locks/close-releases", "fcntl(2): any close of the file drops its owner's locks") {
        let file = try lockable()
        let second = try OpenFile("f", O_RDONLY)
        try expect(posix(file, F_WRLCK))
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_WRLCK), oneOf: [.EAGAIN, .EACCES])
            other.close()
        }
        second.close()
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_WRLCK))
            other.close()
        }
        file.close()
    },
    Check("locks/exit-releases", "fcntl(2): the locks of an owner that ends are free") {
        let file = try lockable()
        try inOtherProcess {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_WRLCK))
            other.close()
        }
        try expect(posix(file, F_WRLCK))
        file.close()
    },
    Check("locks/waiting", "fcntl(2): F_SETLKW returns when the lock is free") {
        let file = try lockable()
        try expect(posix(file, F_WRLCK, 0, 10))
        let waiter = try Aside {
            try inOtherProcess {
                let other = try OpenFile("f", O_RDWR)
                try expect(posix(other, F_WRLCK, 5, 10, command: F_SETLKW))
                other.close()
            }
        }
        try expect(!waiter.ends(within: 200), "F_SETLKW did not wait for the lock")
        try expect(posix(file, F_UNLCK, 0, 10))
        try expect(waiter.ends(within: 10_000), "F_SETLKW did not return 10 s after the lock was free")
        try waiter.join()
        file.close()
    },
    Check("locks/waiting-ends-by-a-signal", "fcntl(2): a signal ends F_SETLKW with EINTR") {
        try InterruptTimer.install()
        let file = try lockable()
        try expect(posix(file, F_WRLCK))
        let waiter = try Aside {
            try inOtherProcess {
                let other = try OpenFile("f", O_RDWR)
                let timer = try InterruptTimer()
                timer.start()
                var lock = range(F_WRLCK, 0, 0)
                let seen = unsafe vfs_fcntl_lock(other.number, F_SETLKW, &lock) == 0 ? 0 : errno
                _ = consume timer
                try expect("fcntl(F_SETLKW) under a signal", gives: "EINTR", name(of: Errno(rawValue: seen)))
                other.close()
            }
        }
        let ended = waiter.ends(within: 10_000)
        try expect(posix(file, F_UNLCK))
        try expect(ended, "F_SETLKW did not return within 10 s of signals")
        try waiter.join()
        file.close()
    },
    Check(
        "locks/open-file-description", "fcntl(2): OFD locks belong to the opening, not to the process",
        needs: []
    ) {
        let file = try lockable()
        let other = try OpenFile("f", O_RDWR)
        try expect(posix(file, F_WRLCK, 0, 10, command: F_OFD_SETLK))
        try expect(posix(other, F_WRLCK, 5, 10, command: F_OFD_SETLK), oneOf: [.EAGAIN, .EACCES])
        try expect(posix(other, F_WRLCK, 10, 10, command: F_OFD_SETLK))
        let third = try OpenFile("f", O_RDWR)
        third.close()
        try expect(posix(other, F_RDLCK, 0, 5, command: F_OFD_SETLK), oneOf: [.EAGAIN, .EACCES])
        file.close()
        try expect(posix(other, F_RDLCK, 0, 5, command: F_OFD_SETLK))
        other.close()
    },
    Check(
        "locks/open-file-description-waiting", "fcntl(2): F_OFD_SETLKW returns when the lock is free",
        needs: []
    ) {
        let file = try lockable()
        try expect(posix(file, F_WRLCK, 0, 0, command: F_OFD_SETLK))
        let waiter = try Aside {
            let other = try OpenFile("f", O_RDWR)
            try expect(posix(other, F_RDLCK, 0, 0, command: F_OFD_SETLKW))
            other.close()
        }
        try expect(!waiter.ends(within: 200), "F_OFD_SETLKW did not wait for the lock")
        file.close()
        try expect(waiter.ends(within: 10_000), "F_OFD_SETLKW did not return 10 s after the lock was free")
        try waiter.join()
    },
    Check("locks/flock", "flock(2): exclusive, shared, converted, and free at the last close", needs: []) {
        let file = try lockable()
        let other = try OpenFile("f", O_RDONLY)
        try expect(whole(file, LOCK_EX | LOCK_NB))
        try expect(whole(other, LOCK_SH | LOCK_NB), .EAGAIN)
        try expect(whole(file, LOCK_SH | LOCK_NB))
        try expect(whole(other, LOCK_SH | LOCK_NB))
        try expect(whole(file, LOCK_EX | LOCK_NB), .EAGAIN)
        try expect(whole(other, LOCK_UN))
        let duplicate = OpenFile(adopting: try duplicate(file.number).release(), "f")
        try expect(whole(duplicate, LOCK_EX | LOCK_NB))
        file.close()
        try expect(whole(other, LOCK_EX | LOCK_NB), .EAGAIN)
        duplicate.close()
        try expect(whole(other, LOCK_EX | LOCK_NB))
        other.close()
    },
    Check("locks/flock-waiting", "flock(2): a waiter gets the lock when it is free", needs: []) {
        let file = try lockable()
        try expect(whole(file, LOCK_EX))
        let waiter = try Aside {
            let other = try OpenFile("f", O_RDWR)
            try expect(whole(other, LOCK_EX))
            other.close()
        }
        try expect(!waiter.ends(within: 200), "flock did not wait for the lock")
        try expect(whole(file, LOCK_UN))
        try expect(waiter.ends(within: 10_000), "flock did not return 10 s after the lock was free")
        try waiter.join()
        file.close()
    },
    Check("locks/two-kinds", "flock(2): on Linux it does not meet the locks of fcntl(2)", needs: []) {
        let file = try lockable()
        try expect(posix(file, F_WRLCK))
        let other = try OpenFile("f", O_RDWR)
        try expect(whole(other, LOCK_EX | LOCK_NB))
        file.close()
        other.close()
    },
    Check("locks/mutual-exclusion", "flock(2): a counter kept under the lock loses nothing", needs: []) {
        try store("0", in: "f")
        try together(4) { _ in
            let file = try OpenFile("f", O_RDWR)
            for _ in 0..<50 {
                try expect(whole(file, LOCK_EX))
                let text = try file.readText(16, at: 0)
                try file.write("\((Int(text) ?? -1000) + 1)", at: 0)
                try expect(whole(file, LOCK_UN))
            }
            file.close()
        }
        try expect("f", holds: "200")
    },
]
