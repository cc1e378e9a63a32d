// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Makes `call` on several threads at once, round by round; expects one to succeed and the others to get `error`.
private func oneWinner(
    _ rounds: Int, _ error: Errno, _ call: @escaping @Sendable (_ round: Int, _ thread: Int) -> Call
) throws {
    for round in 0..<rounds {
        let winners = Tally()
        try together(4) { thread in
            let attempt = call(round, thread)
            do throws(Errno) {
                let number = try attempt()
                if number > 2 { _ = close(number) }
                winners.add()
            } catch let seen {
                if seen != error {
                    throw Failure("\(attempt) gave \(name(of: seen)), expected success or \(name(of: error))")
                }
            }
        }
        try expect("winners of \(call(round, 0))", gives: 1, winners.value)
    }
}

let raceChecks: [Check] = [
    Check("race/O_EXCL", "open(2): with O_EXCL one of many makes the file", needs: []) {
        try oneWinner(50, .EEXIST) { round, _ in .open("f\(round)", O_WRONLY | O_CREAT | O_EXCL) }
    },
    Check("race/mkdir", "mkdir(2): one of many makes the directory", needs: []) {
        try oneWinner(50, .EEXIST) { round, _ in .mkdir("d\(round)") }
    },
    Check("race/link", "link(2): one of many gets the name", needs: []) {
        try store("", in: "f")
        try oneWinner(50, .EEXIST) { round, _ in .link("f", "g\(round)") }
        try expect("f", .links(51))
    },
    Check("race/unlink", "unlink(2): one of many removes the name", needs: []) {
        for round in 0..<50 { try store("", in: "f\(round)") }
        try oneWinner(50, .ENOENT) { round, _ in .unlink("f\(round)") }
    },
    Check("race/rename-from", "rename(2): one of many takes the name away", needs: []) {
        for round in 0..<50 { try store("", in: "f\(round)") }
        try oneWinner(50, .ENOENT) { round, thread in .rename("f\(round)", "g\(thread)") }
    },
    Check("race/create-without-O_EXCL", "open(2): all who make one file get the same file", needs: []) {
        for round in 0..<30 {
            try together(4) { thread in
                let file = try OpenFile("f\(round)", O_WRONLY | O_CREAT)
                try file.write("\(thread)", at: thread)
                file.close()
            }
            try expect("f\(round)", holds: "0123")
        }
    },
    Check(
        "race/rename-is-atomic", "rename(2): a reader of a replaced name always finds a whole file", needs: []
    ) {
        try store("version 0", in: "f")
        let rounds = 300
        let writer = try Aside {
            for round in 1...rounds {
                try store("version \(round)", in: "new")
                try expect(.rename("new", "f"))
            }
        }
        var last = 0
        var reads = 0
        while last < rounds && reads < 1_000_000 {
            reads += 1
            let file = try OpenFile("f", O_RDONLY)
            let text = try file.readText(64)
            file.close()
            let version = text.hasPrefix("version ") ? Int(text.dropFirst(8)) ?? -1 : -1
            try expect(version >= last, "read \"\(text)\" after version \(last)")
            last = version
            if writer.ends(within: 0) && last < rounds { last = rounds }
        }
        try writer.join()
        try expect("f", holds: "version \(rounds)")
    },
    Check(
        "race/exchange-is-atomic", "renameat2(2): both names are always there under RENAME_EXCHANGE",
        needs: []
    ) {
        try store("a", in: "a")
        try store("b", in: "b")
        try exchangeOrUnsupported("a", "b")
        let writer = try Aside {
            for _ in 0..<300 { try expect(.renameat2("a", "b", flags: 2)) }
        }
        while !writer.ends(within: 0) {
            try expect(.lstat("a"))
            try expect(.lstat("b"))
        }
        try writer.join()
    },
    Check("race/two-way-renames", "rename(2): of two directories into each other not both succeed", needs: [])
    {
        for round in 0..<30 {
            try expect(.mkdir("x\(round)"))
            try expect(.mkdir("y\(round)"))
            let winners = Tally()
            try together(2) { thread in
                let call: Call =
                    thread == 0 ? .rename("x\(round)", "y\(round)/x") : .rename("y\(round)", "x\(round)/y")
                do throws(Errno) {
                    _ = try call()
                    winners.add()
                } catch {
                    try expect(
                        [.ENOENT, .EINVAL].contains(error), "\(call) gave \(name(of: error))")
                }
            }
            try expect("winners of the renames", gives: 1, winners.value)
        }
    },
    Check(
        "race/many-threads-in-one-directory",
        "each of many threads finds what it made, and nothing else is left", needs: []
    ) {
        try make(.directory, "d")
        try together(4) { thread in
            for round in 0..<60 {
                let path = "d/\(thread)-\(round)" as Path
                try store("\(thread) \(round)", in: path)
                try expect(path, holds: "\(thread) \(round)")
                try expect(.rename(path, "d/\(thread)"))
                try expect(.lstat(path), .ENOENT)
                try expect(.unlink("d/\(thread)"))
            }
        }
        try expect(.rmdir("d"))
    },
]

/// RENAME_EXCHANGE, where there is such a thing.
func exchangeOrUnsupported(_ one: Path, _ other: Path) throws {
    let call = Call.renameat2(one, other, flags: 2)
    do throws(Errno) { _ = try call() } catch {
        if error == .EINVAL { throw Unsupported("no RENAME_EXCHANGE here") }
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
}

let renameFlagChecks: [Check] = [
    Check("renameat2/noreplace", "renameat2(2): RENAME_NOREPLACE refuses a name that is there", needs: []) {
        try store("a", in: "a")
        try store("b", in: "b")
        try unlessUnsupported(.renameat2("a", "b", flags: 1), .EEXIST)
        try expect("a", holds: "a")
        try expect("b", holds: "b")
        try expect(.renameat2("a", "c", flags: 1))
        try expect("c", holds: "a")
        try expect(.lstat("a"), .ENOENT)
    },
    Check("renameat2/exchange", "renameat2(2): RENAME_EXCHANGE swaps two objects of any kind") {
        for (one, other) in [
            (Kind.regular, Kind.regular), (.regular, .directory), (.directory, .symbolicLink),
        ] {
            try make(one, "a")
            try make(other, "b")
            let (first, second) = (try status("a"), try status("b"))
            try exchangeOrUnsupported("a", "b")
            try expect("a", .kind(other), .same(second))
            try expect("b", .kind(one), .same(first))
            for path in ["a", "b"] as [Path] {
                try expect(try status(path).kind == Kind.directory.bits ? .rmdir(path) : .unlink(path))
            }
        }
    },
    Check("renameat2/exchange-needs-both", "renameat2(2): ENOENT if one of them is missing", needs: []) {
        try store("a", in: "a")
        try unlessUnsupported(.renameat2("a", "b", flags: 2), .ENOENT)
        try expect(.renameat2("b", "a", flags: 2), .ENOENT)
        try expect("a", holds: "a")
    },
    Check(
        "renameat2/exchange-across-directories", "renameat2(2): directories keep their contents and parents",
        needs: []
    ) {
        for path in ["p", "q", "p/a", "q/b"] as [Path] { try make(.directory, path) }
        try store("in a", in: "p/a/f")
        try exchangeOrUnsupported("p/a", "q/b")
        try expect("q/b/f", holds: "in a")
        try expect(try status("q/b/..").inode == status("q").inode, "the parent of q/b is not q")
        try expect(.lstat("p/a/f"), .ENOENT)
    },
    Check("renameat2/whiteout", "renameat2(2): RENAME_WHITEOUT leaves a character device 0:0") {
        try store("a", in: "a")
        try unlessUnsupported(.renameat2("a", "b", flags: 4), nil)
        try expect("b", holds: "a")
        try expect("a", .kind(.character), .represents(0))
    },
    Check("renameat2/refuses-nonsense", "renameat2(2): EINVAL for contradicting and unknown flags", needs: [])
    {
        try store("a", in: "a")
        try expect(.renameat2("a", "b", flags: 3), .EINVAL)
        try expect(.renameat2("a", "b", flags: 0x80), .EINVAL)
        try expect("a", holds: "a")
    },
]

/// Expects `error` or success; EINVAL where the file system does not know the flag.
private func unlessUnsupported(_ call: Call, _ error: Errno?) throws {
    do throws(Errno) { _ = try call() } catch let seen {
        if seen == .EINVAL { throw Unsupported("\(call) is not supported here") }
        if seen == error { return }
        throw Failure("\(call) gave \(name(of: seen))")
    }
    if let error { throw Failure("\(call) succeeded, expected \(name(of: error))") }
}
