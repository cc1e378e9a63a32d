// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A directory being read; not for two threads.
@safe private final class Listing {
    struct Entry {
        let name: Path
        let inode: UInt64
        let type: UInt8
    }

    private let stream: OpaquePointer

    init(_ path: Path) throws {
        guard let stream = unsafe path.withPointer({ unsafe opendir($0) }) else {
            throw Failure("opendir(\(path)) gave \(name(of: Errno(rawValue: errno))), expected success")
        }
        unsafe self.stream = stream
    }

    deinit { _ = unsafe closedir(stream) }

    /// With "." and ".."; nil at the end.
    func next() throws -> Entry? {
        errno = 0
        guard let entry = unsafe readdir(stream) else {
            try expect(errno == 0, "readdir gave \(name(of: Errno(rawValue: errno)))")
            return nil
        }
        let bytes = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { name in
            // SAFETY: d_name is NUL-terminated within the entry that readdir returned.
            unsafe Array(name.prefix { $0 != 0 })
        }
        return Entry(
            name: Path(bytes), inode: unsafe UInt64(entry.pointee.d_ino), type: unsafe entry.pointee.d_type)
    }

    func rest() throws -> [Entry] {
        var entries: [Entry] = []
        while let entry = try next() { entries.append(entry) }
        return entries
    }

    func rewind() { unsafe rewinddir(stream) }
    var position: Int { unsafe telldir(stream) }
    func move(to position: Int) { unsafe seekdir(stream, position) }
}

private let dots: Set<Path> = [".", ".."]

/// Makes `count` files in a new directory `d`; gives their names.
private func fill(_ count: Int) throws -> [Path] {
    try make(.directory, "d")
    let names = (0..<count).map { "entry-\($0)" as Path }
    for name in names { try expect(.open("d" / name, O_WRONLY | O_CREAT)) }
    return names
}

let scanChecks: [Check] = [
    Check("readdir/each-once", "readdir(3): each entry once, with the two dots", needs: []) {
        let made = try fill(200)
        let seen = try Listing("d").rest().map(\.name)
        try expect(seen.count == 202, "\(seen.count) entries, expected 202")
        try expect(Set(seen) == dots.union(made), "not the entries that were made")
    },
    Check("readdir/ten-thousand", "readdir(3): 10,000 entries, each once", needs: []) {
        let made = try fill(10_000)
        let seen = try Listing("d").rest().map(\.name)
        try expect(seen.count == 10_002, "\(seen.count) entries, expected 10002")
        try expect(Set(seen) == dots.union(made), "not the entries that were made")
    },
    Check("readdir/long-names", "readdir(3): names of 255 bytes", needs: []) {
        try make(.directory, "d")
        let names = (0..<40).map {
            Path("\($0)".utf8 + [UInt8](repeating: 0xC3, count: 255 - "\($0)".utf8.count))
        }
        for name in names { try expect(.open("d" / name, O_WRONLY | O_CREAT)) }
        let seen = try Listing("d").rest().map(\.name)
        try expect(seen.count == 42 && Set(seen) == dots.union(names), "not the entries that were made")
    },
    Check("readdir/types-and-inodes", "readdir(3): d_type and d_ino are those of lstat(2)") {
        try make(.directory, "d")
        for kind in Kind.allCases { try make(kind, "d" / Path(kind.rawValue.utf8)) }
        for entry in try Listing("d").rest() where !dots.contains(entry.name) {
            let seen = try status("d" / entry.name)
            let type = UInt32(entry.type) << 12
            try expect(type == 0 || type == seen.kind, "\(entry.name) has d_type \(entry.type)")
            try expect(
                entry.inode == seen.inode, "\(entry.name) has d_ino \(entry.inode), lstat \(seen.inode)")
        }
    },
    Check(
        "readdir/under-removal", "readdir(3): removing what was read loses and repeats nothing else",
        needs: []
    ) {
        let made = try fill(1000)
        let listing = try Listing("d")
        var seen: [Path] = []
        while let entry = try listing.next() {
            if dots.contains(entry.name) { continue }
            seen.append(entry.name)
            if seen.count % 2 == 0 { try expect(.unlink("d" / entry.name)) }
        }
        try expect(
            seen.count == 1000 && Set(seen) == Set(made), "saw \(seen.count), different \(Set(seen).count)")
        let left = try Listing("d").rest().count
        try expect("entries left", gives: 502, left)
    },
    Check(
        "readdir/remove-all", "readdir(3): a scan that removes what it reads empties the directory", needs: []
    ) {
        _ = try fill(700)
        let listing = try Listing("d")
        while let entry = try listing.next() {
            if !dots.contains(entry.name) { try expect(.unlink("d" / entry.name)) }
        }
        try expect(.rmdir("d"))
    },
    Check(
        "readdir/under-creation", "readdir(3): entries that stay are seen once while others come and go",
        needs: []
    ) {
        let made = try fill(500)
        let listing = try Listing("d")
        var seen: [Path] = []
        while let entry = try listing.next() {
            seen.append(entry.name)
            let other = "d/other-\(seen.count)" as Path
            if seen.count <= 600 { try expect(.open(other, O_WRONLY | O_CREAT)) }
            if seen.count % 3 == 0 { _ = try? Call.unlink(other)() }
        }
        for name in made {
            let count = seen.count { $0 == name }
            try expect(count == 1, "\(name) was seen \(count) times")
        }
    },
    Check(
        "readdir/under-renames", "readdir(3): entries that stay are seen once while others are renamed",
        needs: []
    ) {
        let made = try fill(400)
        try expect(.open("d/mover", O_WRONLY | O_CREAT))
        let listing = try Listing("d")
        var seen: [Path] = []
        var mover: Path = "d/mover"
        while let entry = try listing.next() {
            seen.append(entry.name)
            if seen.count % 7 == 0 && seen.count < 1000 {
                try expect(.rename(mover, "d/mover\(seen.count)"))
                mover = "d/mover\(seen.count)"
            }
        }
        for name in made {
            let count = seen.count { $0 == name }
            try expect(count == 1, "\(name) was seen \(count) times")
        }
    },
    Check("readdir/rewind-sees-new-entries", "rewinddir(3): shows the directory as it is now", needs: []) {
        _ = try fill(3)
        let listing = try Listing("d")
        _ = try listing.rest()
        try expect(.open("d/new", O_WRONLY | O_CREAT))
        try expect(.unlink("d/entry-1"))
        listing.rewind()
        let seen = Set(try listing.rest().map(\.name))
        try expect(
            seen == dots.union(["entry-0", "entry-2", "new"]),
            "after rewinddir: \(seen.map(\.description).sorted())")
    },
    Check("readdir/positions", "seekdir(3): goes on where telldir(3) was called", needs: []) {
        _ = try fill(300)
        let listing = try Listing("d")
        var positions: [Int] = []
        var entries: [Path] = []
        while true {
            positions.append(listing.position)
            guard let entry = try listing.next() else { break }
            entries.append(entry.name)
        }
        for index in [150, 3, 299, 0, 77] {
            listing.move(to: positions[index])
            let seen = try listing.rest().map(\.name)
            try expect(seen == Array(entries[index...]), "from position \(index): \(seen.count) entries")
        }
    },
    Check("readdir/two-readers", "readdir(3): each open directory has its own position", needs: []) {
        _ = try fill(100)
        let (one, two) = (try Listing("d"), try Listing("d"))
        for _ in 0..<50 { _ = try one.next() }
        try expect("entries of the second reader", gives: 102, try two.rest().count)
        try expect("entries left for the first", gives: 52, try one.rest().count)
    },
    Check("readdir/new-entry-is-there", "readdir(3): what was made before opendir(3) is seen", needs: []) {
        try make(.directory, "d")
        for index in 0..<50 {
            try expect(.open("d/\(index)", O_WRONLY | O_CREAT))
            let seen = try Listing("d").rest().map(\.name)
            try expect(seen.contains("\(index)"), "\(index) is not in the list")
        }
        for index in 0..<50 {
            try expect(.unlink("d/\(index)"))
            let seen = try Listing("d").rest().map(\.name)
            try expect(!seen.contains("\(index)"), "the removed \(index) is in the list")
        }
    },
]
