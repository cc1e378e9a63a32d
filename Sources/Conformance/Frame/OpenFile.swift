// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Synchronization

/// An open file of a check; what a method cannot do becomes a failure in the call's words.
package final class OpenFile: Sendable {
    package let path: Path
    private let descriptor: Atomic<Int32>

    package init(_ path: Path, _ flags: Int32, mode: mode_t = 0o644) throws {
        let call = Call.open(path, flags, mode)
        self.path = path
        descriptor = Atomic(Int32(try result(of: "\(call)") { () throws(Errno) in Int(try call()) }))
    }

    package init(adopting number: Int32, _ path: Path) {
        self.path = path
        descriptor = Atomic(number)
    }

    deinit { close() }

    /// −1 when it is closed.
    package var number: Int32 { descriptor.load(ordering: .relaxed) }

    /// Once; also ends the life of what would otherwise be closed whenever the compiler sees its last use.
    package func close() {
        let number = descriptor.exchange(-1, ordering: .relaxed)
        if number >= 0 { _ = Glibc.close(number) }
    }

    /// The name of /proc that leads to the open file.
    package var again: Path { "/proc/self/fd/\(number)" }

    /// At `offset`, or at the file's position. Expects all bytes to be written.
    package func write(_ bytes: [UInt8], at offset: Int? = nil) throws {
        let number = number
        let count = try result(of: "write(\(path), \(bytes.count) bytes)") { () throws(Errno) in
            try systemCall { () -> Int in
                guard let offset else { return unsafe Glibc.write(number, bytes, bytes.count) }
                return unsafe Glibc.pwrite(number, bytes, bytes.count, offset)
            }
        }
        try expect("write(\(path), \(bytes.count) bytes)", gives: bytes.count, count)
    }

    package func write(_ text: String, at offset: Int? = nil) throws {
        try write(Array(text.utf8), at: offset)
    }

    /// One read(2) or pread(2): what it gave.
    package func read(_ count: Int, at offset: Int? = nil) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: count)
        let number = number
        let seen = try result(of: "read(\(path), \(count) bytes)") { () throws(Errno) in
            try systemCall { () -> Int in
                guard let offset else { return unsafe Glibc.read(number, &bytes, count) }
                return unsafe Glibc.pread(number, &bytes, count, offset)
            }
        }
        return Array(bytes.prefix(seen))
    }

    package func readText(_ count: Int = 4096, at offset: Int? = nil) throws -> String {
        String(decoding: try read(count, at: offset), as: UTF8.self)
    }

    package func truncate(_ size: Int) throws { try expect(.ftruncate(number, size)) }

    package func synchronize() throws {
        let number = number
        _ = try result(of: "fsync(\(path))") { () throws(Errno) in Int(try systemCall { fsync(number) }) }
    }

    package func seek(_ offset: Int, _ whence: Int32 = SEEK_SET) throws(Errno) -> Int {
        let number = number
        return try systemCall { lseek(number, offset, whence) }
    }
}

extension Call {
    package static func write(_ file: OpenFile, _ text: String) -> Call {
        Call("write(\(file.path))") {
            Int32(clamping: unsafe Glibc.write(file.number, text, text.utf8.count))
        }
    }

    package static func read(_ file: OpenFile) -> Call {
        Call("read(\(file.path))") {
            var byte: UInt8 = 0
            return Int32(clamping: unsafe Glibc.read(file.number, &byte, 1))
        }
    }

    package static func lseek(_ file: OpenFile, _ offset: Int, _ whence: Int32) -> Call {
        let names = [SEEK_DATA: "SEEK_DATA", SEEK_HOLE: "SEEK_HOLE"]
        return Call("lseek(\(file.path), \(offset), \(names[whence] ?? "\(whence)"))") {
            Int32(clamping: Glibc.lseek(file.number, offset, whence))
        }
    }
}

/// The number that `call` gives; an error becomes a failure that says `what`.
func result(of what: String, _ call: () throws(Errno) -> Int) throws -> Int {
    do throws(Errno) { return try call() } catch {
        throw Failure("\(what) gave \(name(of: error)), expected success")
    }
}

/// Makes a file that holds `text`, or makes the one that is there hold it.
package func store(_ text: String, in path: Path, mode: mode_t = 0o644) throws {
    let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
    try file.write(text)
    file.close()
}

/// Expects the file at `path` to hold exactly `text`.
package func expect(_ path: Path, holds text: String) throws {
    let file = try OpenFile(path, O_RDONLY)
    let seen = try file.readText(text.utf8.count + 64)
    file.close()
    try expect("read(\(path))", gives: text, seen)
}

/// `count` bytes that differ from their neighbours and from those of another `seed`.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8) &+ seed &* 101 &+ 1) }
}
