// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// Removes a file or an empty directory if it is there: tidies between the rows of a table.
package func discard(_ paths: Path...) {
    for path in paths { if (try? Call.unlink(path)()) == nil { _ = try? Call.rmdir(path)() } }
}

/// Makes a regular file that holds `bytes`.
package func make(file path: Path, holding bytes: [UInt8], mode: UInt32 = 0o644, owner: User? = nil) throws {
    try make(.regular, path, mode: mode, owner: owner)
    try opened(path, O_WRONLY) { try write($0, bytes, at: 0) }
}

/// Writes all bytes at an offset.
package func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: Int) throws {
    let call = Call("pwrite(descriptor, \(bytes.count) bytes, \(offset))") {
        Int32(clamping: unsafe pwrite(descriptor, bytes, bytes.count, offset))
    }
    let count = try result(of: call)
    try expect("\(call)", gives: bytes.count, Int(count))
}

/// Up to `count` bytes from an offset.
package func read(_ descriptor: Int32, _ count: Int, at offset: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    let read = unsafe pread(descriptor, &bytes, count, offset)
    if read < 0 {
        throw Failure(
            "pread(descriptor, \(count), \(offset)) gave \(name(of: Errno(rawValue: errno))), expected success"
        )
    }
    return Array(bytes.prefix(read))
}

/// All bytes of a file.
package func contents(_ path: Path) throws -> [UInt8] {
    try opened(path, O_RDONLY) { try read($0, status(of: $0).size, at: 0) }
}

/// Where a symbolic link leads.
package func target(_ path: Path) throws -> Path {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe path.withPointer { unsafe readlink($0, &bytes, bytes.count) }
    if count < 0 {
        throw Failure("readlink(\(path)) gave \(name(of: Errno(rawValue: errno))), expected success")
    }
    return Path(bytes.prefix(count).map { UInt8(bitPattern: $0) })
}

/// What a call that has to succeed returns.
package func result(of call: Call) throws -> Int32 {
    do throws(Errno) { return try call() } catch {
        throw Failure("\(call) gave \(name(of: error)), expected success")
    }
}
