// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

private let page = 4096

let sizeChecks: [Check] = [
    Check("size/growth-reads-zero", "truncate(2): the bytes a file grows by are zero", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(10_000))
        try file.truncate(3)
        try file.truncate(20_000)
        let seen = try file.read(20_000, at: 0)
        try expect(seen.count == 20_000, "read \(seen.count) bytes, expected 20000")
        try expect(Array(seen[..<3]) == Array(pattern(10_000)[..<3]), "the first three bytes changed")
        try expect(seen[3...].allSatisfy { $0 == 0 }, "old data is there after shrinking and growing")
        file.close()
    },
    Check("size/write-beyond-the-end", "lseek(2): the gap before a write reads as zero", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write("a", at: 0)
        try file.write("b", at: 3 * page + 5)
        try expect(file.number, .size(3 * page + 6))
        let gap = try file.read(3 * page + 4, at: 1)
        try expect(gap.count == 3 * page + 4 && gap.allSatisfy { $0 == 0 }, "the gap is not zero")
        file.close()
    },
    Check("size/all-see-it", "truncate(2): every opener sees the new size at once", needs: []) {
        try store("0123456789", in: "f")
        let one = try OpenFile("f", O_RDWR)
        let other = try OpenFile("f", O_RDWR)
        try one.truncate(4)
        try expect("read", gives: "0123", try other.readText(at: 0))
        try expect(other.number, .size(4))
        try expect(.truncate("f", 2))
        try expect("read", gives: "01", try one.readText(at: 0))
        try expect("f", .size(2))
        one.close()
        other.close()
    },
    Check("size/position-stays", "ftruncate(2): does not move the file's position", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write("0123456789")
        try file.truncate(0)
        try expect("lseek", gives: 10, try file.seek(0, SEEK_CUR))
        try file.write("x")
        try expect(
            "read", gives: [UInt8](repeating: 0, count: 10) + [UInt8(ascii: "x")], try file.read(64, at: 0))
        file.close()
    },
    Check("size/shrink-under-a-mapping", "mmap(2): pages that come back after shrinking are zero", needs: [])
    {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(4 * page))
        let map = try MappedFile(file, count: 4 * page)
        try expect(map.bytes(0..<page) == Array(pattern(4 * page)[..<page]), "the mapping shows other bytes")
        try file.truncate(page + 100)
        try expect(
            map.bytes(page + 100..<2 * page).allSatisfy { $0 == 0 }, "the last page's tail is not zero")
        try file.truncate(4 * page)
        try expect(map.bytes(page + 100..<4 * page).allSatisfy { $0 == 0 }, "old data came back")
        try expect(
            map.bytes(0..<page + 100) == Array(pattern(4 * page)[..<(page + 100)]), "what stayed changed")
        file.close()
    },
    Check("size/O_TRUNC-under-an-opener", "open(2): O_TRUNC empties the file for all", needs: []) {
        try store("0123456789", in: "f")
        let file = try OpenFile("f", O_RDWR)
        try expect(.open("f", O_WRONLY | O_TRUNC))
        try expect("read", gives: "", try file.readText(at: 0))
        try expect(file.number, .size(0))
        file.close()
    },
    Check("size/beyond-four-gibibytes", "lseek(2): offsets beyond 32 bits", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        for offset in [(1 << 31) - 2, (1 << 32) - 2, (1 << 33) + 5] {
            try file.write("abcd", at: offset)
            try expect("read at \(offset)", gives: "abcd", try file.readText(4, at: offset))
            try expect(file.number, .size(offset + 4))
        }
        try expect("read", gives: "abcd", try file.readText(4, at: (1 << 32) - 2))
        try expect("lseek", gives: (1 << 33) + 9, try file.seek(0, SEEK_END))
        try file.truncate((1 << 32) + 1)
        try expect("f", .size((1 << 32) + 1))
        try expect("read", gives: "abc", try file.readText(9, at: (1 << 32) - 2))
        file.close()
    },
]

let appendChecks: [Check] = [
    Check("append/goes-to-the-end", "open(2): with O_APPEND each write goes to the end", needs: []) {
        try store("start", in: "f")
        let file = try OpenFile("f", O_RDWR | O_APPEND)
        _ = try file.seek(0)
        try file.write("1")
        _ = try file.seek(2)
        try file.write("2")
        try expect("lseek", gives: 7, try file.seek(0, SEEK_CUR))
        try expect("f", holds: "start12")
        file.close()
    },
    Check("append/two-openers", "open(2): openers with O_APPEND do not overwrite each other", needs: []) {
        let one = try OpenFile("f", O_WRONLY | O_APPEND | O_CREAT)
        let other = try OpenFile("f", O_WRONLY | O_APPEND)
        let plain = try OpenFile("f", O_WRONLY)
        for _ in 0..<3 {
            try one.write("a")
            try other.write("b")
        }
        try plain.write("X", at: 6)
        try one.write("c")
        try expect("f", holds: "abababXc")
        for file in [one, other, plain] { file.close() }
    },
    Check("append/pwrite", "pwrite(2): Linux appends with O_APPEND, whatever the offset is", needs: []) {
        try store("start", in: "f")
        let file = try OpenFile("f", O_WRONLY | O_APPEND)
        try file.write("end", at: 0)
        file.close()
        try expect("f", holds: "startend")
    },
    Check("append/fcntl", "fcntl(2): F_SETFL turns O_APPEND on and off", needs: []) {
        try store("start", in: "f")
        let file = try OpenFile("f", O_WRONLY)
        try expect(Call("fcntl(F_SETFL, O_APPEND)") { vfs_fcntl_int(file.number, F_SETFL, O_APPEND) })
        try file.write("end")
        try expect(Call("fcntl(F_SETFL, 0)") { vfs_fcntl_int(file.number, F_SETFL, 0) })
        try file.write("S", at: 0)
        file.close()
        try expect("f", holds: "Startend")
    },
    Check(
        "append/nothing-is-lost", "open(2): appends of many writers at once are whole and all there",
        needs: []
    ) {
        try store("", in: "f")
        let (writers, records, length) = (4, 150, 37)
        try together(writers) { writer in
            let file = try OpenFile("f", O_WRONLY | O_APPEND)
            let letter = UInt8(ascii: "a") + UInt8(writer)
            let record = [UInt8](repeating: letter, count: length - 1) + [10]
            for _ in 0..<records { try file.write(record) }
            file.close()
        }
        let file = try OpenFile("f", O_RDONLY)
        let all = try file.read(writers * records * length + 1)
        file.close()
        try expect(all.count == writers * records * length, "the file has \(all.count) bytes")
        var counts: [UInt8: Int] = [:]
        for start in stride(from: 0, to: all.count, by: length) {
            let record = all[start..<start + length]
            let whole = record.dropLast().allSatisfy { $0 == record.first } && record.last == 10
            try expect(whole, "the record at \(start) is torn")
            counts[record.first ?? 0, default: 0] += 1
        }
        try expect(
            counts.values.allSatisfy { $0 == records }, "records of the writers: \(counts.values.sorted())")
    },
]

let holeChecks: [Check] = [
    Check("holes/found", "lseek(2): SEEK_DATA and SEEK_HOLE find what was written", needs: [.holes]) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        let far = 1 << 20
        try file.write(pattern(page), at: far)
        try file.truncate(3 * far)
        try file.synchronize()
        let data = try result(of: "SEEK_DATA") { () throws(Errno) in try file.seek(0, SEEK_DATA) }
        try expect(data > 0 && data <= far, "SEEK_DATA from 0 gave \(data), expected up to \(far)")
        try expect("SEEK_DATA within the data", gives: far + 7, try file.seek(far + 7, SEEK_DATA))
        let hole = try file.seek(far, SEEK_HOLE)
        try expect(hole >= far + page && hole < 3 * far, "SEEK_HOLE gave \(hole)")
        try expect("SEEK_HOLE within a hole", gives: 5, try file.seek(5, SEEK_HOLE))
        file.close()
    },
    Check(
        "holes/end-of-the-file", "lseek(2): a hole is at the end of every file, and ENXIO behind it",
        needs: []
    ) {
        try store("0123456789", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        try expect("SEEK_HOLE", gives: 10, try file.seek(3, SEEK_HOLE))
        try expect("SEEK_DATA", gives: 3, try file.seek(3, SEEK_DATA))
        try expect(.lseek(file, 10, SEEK_HOLE), .ENXIO)
        try expect(.lseek(file, 10, SEEK_DATA), .ENXIO)
        try expect(.lseek(file, 99, SEEK_DATA), .ENXIO)
        file.close()
    },
    Check("holes/no-data-behind", "lseek(2): SEEK_DATA in the last hole gives ENXIO", needs: [.holes]) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.truncate(1 << 20)
        try expect(.lseek(file, 0, SEEK_DATA), .ENXIO)
        try expect("SEEK_HOLE", gives: 0, try file.seek(0, SEEK_HOLE))
        file.close()
    },
    Check("holes/punched", "fallocate(2): a punched hole reads as zero and keeps the size", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(8 * page))
        let mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        try allocate(file, mode, 2 * page - 10, 3 * page)
        var expected = pattern(8 * page)
        expected.replaceSubrange(2 * page - 10..<5 * page - 10, with: [UInt8](repeating: 0, count: 3 * page))
        try expect(try file.read(9 * page, at: 0) == expected, "the file is not what was left of it")
        try allocate(file, mode, 7 * page, 100 * page)
        try expect(file.number, .size(8 * page))
        file.close()
    },
    Check("holes/zeroed", "fallocate(2): FALLOC_FL_ZERO_RANGE zeroes, and grows without KEEP_SIZE", needs: [])
    {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write(pattern(4 * page))
        try allocate(file, FALLOC_FL_ZERO_RANGE, page + 1, page)
        var expected = pattern(4 * page)
        expected.replaceSubrange(page + 1..<2 * page + 1, with: [UInt8](repeating: 0, count: page))
        try expect(try file.read(9 * page, at: 0) == expected, "the file is not what was left of it")
        try allocate(file, FALLOC_FL_ZERO_RANGE, 3 * page, 2 * page)
        try expect(file.number, .size(5 * page))
        file.close()
    },
    Check("holes/allocated", "fallocate(2): allocation changes no data; KEEP_SIZE no size", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        try file.write("data")
        try allocate(file, FALLOC_FL_KEEP_SIZE, 0, 4 * page)
        try expect(file.number, .size(4))
        try allocate(file, 0, 0, 4 * page)
        try expect(file.number, .size(4 * page))
        try expect(Array(try file.read(page, at: 0).prefix(5)) == Array("data\0".utf8), "the data changed")
        file.close()
    },
]

private func allocate(_ file: OpenFile, _ mode: Int32, _ offset: Int, _ length: Int) throws {
    let call = Call.fallocate(file.number, mode: mode, offset, length)
    do throws(Errno) { _ = try call() } catch .EOPNOTSUPP {
        throw Unsupported("\(call) is not supported here")
    } catch { throw Failure("\(call) gave \(name(of: error)), expected success") }
}
