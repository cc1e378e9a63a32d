// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

private let page = 4096

/// `count` zero bytes on pages of their own.
private func memory(_ count: Int) throws -> Mapping {
    do throws(Errno) { return try Mapping(anonymous: count) } catch { throw Unsupported("no memory") }
}

/// An opener that goes past the page cache.
private func direct(_ path: Path, _ flags: Int32) throws -> OpenFile {
    let call = Call.open(path, flags | O_DIRECT)
    do throws(Errno) { return OpenFile(adopting: try call(), path) } catch {
        if error == .EINVAL { throw Unsupported("no O_DIRECT here") }
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
}

/// Writes or reads `count` bytes at `offset` by a buffer on a page of its own.
private func aligned(_ file: OpenFile, _ bytes: [UInt8], at offset: Int) throws {
    let pages = try memory(bytes.count)
    unsafe memcpy(pages.base, bytes, bytes.count)
    let count = unsafe pwrite(file.number, pages.base, bytes.count, offset)
    try expect("direct write of \(bytes.count) bytes", gives: bytes.count, count)
}

private func aligned(_ file: OpenFile, count: Int, at offset: Int) throws -> [UInt8] {
    let pages = try memory(count)
    let seen = unsafe pread(file.number, pages.base, count, offset)
    try expect(seen >= 0, "direct read gave \(name(of: Errno(rawValue: errno)))")
    return unsafe Array(UnsafeRawBufferPointer(start: pages.base, count: seen))
}

let directChecks: [Check] = [
    Check("direct/read-and-write", "open(2): O_DIRECT moves aligned blocks", needs: []) {
        let file = try direct("f", O_RDWR | O_CREAT)
        try aligned(file, pattern(8 * page), at: 0)
        try expect(try aligned(file, count: 8 * page, at: 0) == pattern(8 * page), "other bytes came back")
        try expect(try aligned(file, count: 8 * page, at: 6 * page).count == 2 * page, "read beyond the end")
        try expect(try aligned(file, count: page, at: 8 * page) == [], "read at the end")
        file.close()
    },
    Check(
        "direct/with-the-page-cache", "open(2): O_DIRECT and other openers see each other's data", needs: []
    ) {
        let file = try direct("f", O_RDWR | O_CREAT)
        let plain = try OpenFile("f", O_RDWR)
        try plain.write(pattern(4 * page))
        try expect(
            try aligned(file, count: 4 * page, at: 0) == pattern(4 * page), "direct reading misses a write")
        try aligned(file, pattern(page, seed: 1), at: page)
        try expect(try plain.read(page, at: page) == pattern(page, seed: 1), "reading misses a direct write")
        let map = try MappedFile(plain, count: 4 * page)
        try expect(map.bytes(page..<2 * page) == pattern(page, seed: 1), "a mapping misses a direct write")
        try aligned(file, pattern(page, seed: 2), at: 2 * page)
        try expect(
            map.bytes(2 * page..<3 * page) == pattern(page, seed: 2), "a mapping misses a direct write")
        file.close()
        plain.close()
    },
    Check("direct/append", "open(2): O_DIRECT with O_APPEND writes at the end", needs: []) {
        let file = try direct("f", O_WRONLY | O_CREAT | O_APPEND)
        try aligned(file, pattern(page, seed: 1), at: 0)
        try aligned(file, pattern(page, seed: 2), at: 0)
        file.close()
        let plain = try OpenFile("f", O_RDONLY)
        try expect(
            try plain.read(3 * page) == pattern(page, seed: 1) + pattern(page, seed: 2), "other contents")
        plain.close()
    },
]

private func copied(_ what: String, _ total: Int, _ step: (Int) -> Int) throws {
    var done = 0
    while done < total {
        let count = step(total - done)
        if count < 0 && [EINVAL, EOPNOTSUPP, EXDEV].contains(errno) { throw Unsupported("no \(what) here") }
        try expect(
            count > 0,
            "\(what) gave \(count < 0 ? name(of: Errno(rawValue: errno)) : "0") after \(done) bytes")
        done += count
    }
}

let transferChecks: [Check] = [
    Check("transfer/sendfile", "sendfile(2): from a file to a file", needs: []) {
        let (from, to) = (try OpenFile("f", O_RDWR | O_CREAT), try OpenFile("g", O_RDWR | O_CREAT))
        try from.write(pattern(50_000))
        var offset = 11
        try copied("sendfile", 40_000) { unsafe sendfile(to.number, from.number, &offset, $0) }
        try expect(try to.read(50_000, at: 0) == Array(pattern(50_000)[11..<40_011]), "other bytes arrived")
        from.close()
        to.close()
    },
    Check("transfer/splice", "splice(2): from a file through a pipe to a file", needs: []) {
        let (from, to) = (try OpenFile("f", O_RDWR | O_CREAT), try OpenFile("g", O_RDWR | O_CREAT))
        try from.write(pattern(50_000))
        var ends: [Int32] = [-1, -1]
        _ = try result(of: "pipe2") { () throws(Errno) in
            Int(try systemCall { unsafe pipe2(&ends, O_CLOEXEC) })
        }
        let (output, input) = (OpenFile(adopting: ends[0], "pipe"), OpenFile(adopting: ends[1], "pipe"))
        var (source, target) = (5, 3)
        for _ in 0..<4 {
            try copied("splice", 10_000) { unsafe splice(from.number, &source, input.number, nil, $0, 0) }
            try copied("splice", 10_000) { unsafe splice(output.number, nil, to.number, &target, $0, 0) }
        }
        try expect(try to.read(50_000, at: 3) == Array(pattern(50_000)[5..<40_005]), "other bytes arrived")
        for file in [from, to, output, input] { file.close() }
    },
    Check("transfer/copy_file_range", "copy_file_range(2): between files, and within one", needs: []) {
        let (from, to) = (try OpenFile("f", O_RDWR | O_CREAT), try OpenFile("g", O_RDWR | O_CREAT))
        try from.write(pattern(50_000))
        var (source, target) = (7, 100)
        try copied("copy_file_range", 30_000) {
            unsafe copy_file_range(from.number, &source, to.number, &target, $0, 0)
        }
        try expect(to.number, .size(30_100))
        try expect(try to.read(30_000, at: 100) == Array(pattern(50_000)[7..<30_007]), "other bytes arrived")
        (source, target) = (0, 60_000)
        try copied("copy_file_range", 20_000) {
            unsafe copy_file_range(from.number, &source, from.number, &target, $0, 0)
        }
        try expect(
            try from.read(20_000, at: 60_000) == Array(pattern(50_000)[..<20_000]), "other bytes arrived")
        try expect(
            try from.read(10_000, at: 50_000) == [UInt8](repeating: 0, count: 10_000), "the gap is not zero")
        for file in [from, to] { file.close() }
    },
    Check(
        "transfer/copy-of-unwritten-data", "copy_file_range(2): copies what was just stored in a mapping",
        needs: []
    ) {
        let (from, to) = (try OpenFile("f", O_RDWR | O_CREAT), try OpenFile("g", O_RDWR | O_CREAT))
        try from.write(pattern(2 * page))
        let map = try MappedFile(from, count: 2 * page)
        map.store(pattern(100, seed: 9), at: 50)
        var (source, target) = (0, 0)
        try copied("copy_file_range", 2 * page) {
            unsafe copy_file_range(from.number, &source, to.number, &target, $0, 0)
        }
        try expect(try to.read(100, at: 50) == pattern(100, seed: 9), "stale bytes arrived")
        for file in [from, to] { file.close() }
    },
]

/// One readv(2) or writev(2) of pieces.
private func vectors(_ lengths: [Int], _ buffer: UnsafeMutableRawPointer) -> [iovec] {
    var offset = 0
    return unsafe lengths.map { length in
        defer { offset += length }
        return unsafe iovec(iov_base: buffer + offset, iov_len: length)
    }
}

let vectorChecks: [Check] = [
    Check("vectors/many", "writev(2), readv(2): 1024 pieces of odd lengths", needs: []) {
        let lengths = (0..<1024).map { $0 % 37 }
        let total = lengths.reduce(0, +)
        let pages = try memory(total)
        unsafe memcpy(pages.base, pattern(total), total)
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        let pieces = unsafe vectors(lengths, pages.base)
        try expect("writev", gives: total, unsafe writev(file.number, pieces, 1024))
        try expect(try file.read(total + 1, at: 0) == pattern(total), "other bytes were written")
        unsafe memset(pages.base, 0, total)
        try expect("preadv", gives: total, unsafe preadv(file.number, pieces, 1024, 0))
        let seen = unsafe Array(UnsafeRawBufferPointer(start: pages.base, count: total))
        try expect(seen == pattern(total), "other bytes were read")
        file.close()
    },
    Check("vectors/large", "writev(2): pieces that are larger than a request", needs: []) {
        let lengths = [1, 700_001, 3, 2_000_000, 4095]
        let total = lengths.reduce(0, +)
        let pages = try memory(total)
        for start in stride(from: 0, to: total, by: 4096) {
            unsafe pages.base.storeBytes(
                of: UInt8(truncatingIfNeeded: start >> 12 | 1), toByteOffset: start, as: UInt8.self)
        }
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        let pieces = unsafe vectors(lengths, pages.base)
        try expect("writev", gives: total, unsafe writev(file.number, pieces, Int32(lengths.count)))
        try expect(file.number, .size(total))
        let seen = try file.read(total, at: 0)
        let same = unsafe seen.count == total && memcmp(seen, pages.base, total) == 0
        try expect(same, "other bytes came back")
        file.close()
    },
    Check("vectors/too-many", "writev(2): EINVAL for more than IOV_MAX pieces", needs: []) {
        let file = try OpenFile("f", O_RDWR | O_CREAT)
        let pieces = unsafe [iovec](repeating: iovec(iov_base: nil, iov_len: 0), count: 1025)
        let count = unsafe writev(file.number, pieces, 1025)
        try expect(count == -1 && errno == EINVAL, "writev of 1025 pieces gave \(count)")
        try expect("writev of nothing", gives: 0, unsafe writev(file.number, pieces, 3))
        file.close()
    },
    Check("vectors/end-of-file", "readv(2): gives what is left of the file", needs: []) {
        try store("0123456789", in: "f")
        let file = try OpenFile("f", O_RDONLY)
        let pages = try memory(100)
        let pieces = unsafe vectors([4, 4, 4, 4], pages.base)
        try expect("readv", gives: 7, unsafe preadv(file.number, pieces, 4, 3))
        try expect("readv at the end", gives: 0, unsafe preadv(file.number, pieces, 4, 10))
        file.close()
    },
    Check("vectors/read-zero-bytes", "read(2), write(2): of nothing give 0", needs: []) {
        try store("data", in: "f")
        let file = try OpenFile("f", O_RDWR)
        try expect("read of 0 bytes", gives: [], try file.read(0, at: 0))
        try file.write([UInt8]())
        try expect(file.number, .size(4))
        file.close()
    },
    Check("vectors/wrong-direction", "read(2), write(2): EBADF against the opening's direction", needs: []) {
        try store("data", in: "f")
        let (reader, writer) = (try OpenFile("f", O_RDONLY), try OpenFile("f", O_WRONLY))
        try expect(.write(reader, "x"), .EBADF)
        try expect(.read(writer), .EBADF)
        let directory = try OpenFile(".", O_RDONLY | O_DIRECTORY)
        try expect(.read(directory), .EISDIR)
        for file in [reader, writer, directory] { file.close() }
    },
]
