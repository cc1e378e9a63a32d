// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// A directory of a few names and what has become of them: one operation at a time, by any way, after which every way has to show the
/// result.
struct Field {
    enum Object: Equatable {
        case file([UInt8], mode: UInt32)
        case directory
    }

    private let name: String
    private var objects: [String: Object] = [:]
    private var written = 0

    private static let names = ["a", "b", "c", "d", "e", "f"]

    init(_ name: String) { self.name = name }

    /// Makes the directory, by one of the ways.
    func make(in view: String) throws(Failure) {
        try Self.system("mkdir", "\(view)/\(name)") { unsafe mkdir($0, 0o755) }
    }

    // ---- changes ----

    /// Changes something by `view`.
    mutating func change(by view: String, _ random: inout SplitMix) throws(Failure) {
        let base = "\(view)/\(name)/"
        let one = Self.names.randomElement(using: &random) ?? "a"
        let other = Self.names.randomElement(using: &random) ?? "b"
        let path = base + one
        switch objects[one] {
        case nil:
            if Int.random(in: 0..<6, using: &random) == 0 {
                try Self.system("mkdir", path) { unsafe mkdir($0, 0o755) }
                objects[one] = .directory
            } else {
                objects[one] = .file(try write(path, O_CREAT | O_EXCL), mode: 0o644)
            }
        case .directory:
            try Self.system("rmdir", path) { unsafe rmdir($0) }
            objects[one] = nil
        case .file(let bytes, let mode):
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                try Self.system("unlink", path) { unsafe unlink($0) }
                objects[one] = nil
            case 1 where objects[other] != .directory:
                try Self.system("rename", path) { unsafe rename($0, base + other) }
                objects[one] = nil
                objects[other] = .file(bytes, mode: mode)
            case 2:
                objects[one] = .file(try write(path, O_TRUNC), mode: mode)
            case 3:
                objects[one] = .file(bytes + (try write(path, O_APPEND)), mode: mode)
            case 4:
                let length = Int.random(in: 0...bytes.count, using: &random)
                try Self.system("truncate", path) { unsafe truncate($0, length) }
                objects[one] = .file(Array(bytes.prefix(length)), mode: mode)
            default:
                let mode = mode == 0o644 ? 0o600 : 0o644 as UInt32
                try Self.system("chmod", path) { unsafe chmod($0, mode) }
                objects[one] = .file(bytes, mode: mode)
            }
        }
    }

    /// Writes something that nothing else holds.
    private mutating func write(_ path: String, _ flags: Int32) throws(Failure) -> [UInt8] {
        written += 1
        let bytes = Array("\(name) \(written)\n".utf8)
        let number = try Self.system("open", path) { unsafe open($0, O_WRONLY | flags | O_CLOEXEC, 0o644) }
        let file = OwnedDescriptor(adopting: number)
        try Self.attempt("write", path) { () throws(Errno) in try Files.writeAll(file.rawValue, bytes) }
        return bytes
    }

    // ---- looks ----

    /// Looks at something by `view`, and compares it.
    func look(by view: String, _ random: inout SplitMix) throws(Failure) {
        let directory = "\(view)/\(name)"
        let one = Self.names.randomElement(using: &random) ?? "a"
        let path = directory + "/" + one
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            let expected = objects.keys.sorted()
            let seen = try Self.attempt("readdir", directory) { () throws(Errno) in
                try Files.names(in: directory).sorted()
            }
            if seen != expected { throw Failure("readdir \(directory): \(seen), not \(expected)") }
        case 1:
            guard case .file(let bytes, _) = objects[one] else { return try compare(path, one) }
            let seen = try Self.attempt("read", path) { () throws(Errno) in try Files.read(path) }
            if seen != bytes { throw Failure("read \(path): \(Self.text(seen)), not \(Self.text(bytes))") }
        default: try compare(path, one)
        }
    }

    /// stat(2) of one name.
    private func compare(_ path: String, _ one: String) throws(Failure) {
        var status = stat()
        let result = unsafe lstat(path, &status)
        let error = errno
        switch objects[one] {
        case nil:
            guard result != 0, error == ENOENT else { throw Failure("stat \(path): it is gone, and shown") }
        case .directory:
            guard result == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw Failure("stat \(path): a directory, and not shown (\(error))")
            }
        case .file(let bytes, let mode):
            guard result == 0 else { throw Failure("stat \(path): a file, and not shown (\(error))") }
            guard status.st_size == bytes.count, status.st_mode & 0o777 == mode else {
                throw Failure(
                    "stat \(path): \(status.st_size) bytes and \(octal(status.st_mode)), not \(bytes.count) and \(octal(mode))"
                )
            }
        }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @discardableResult
    static func system(
        _ call: String, _ path: String, _ body: (String) -> Int32
    ) throws(Failure) -> Int32 {
        try attempt(call, path) { () throws(Errno) in
            try systemCall { body(path) }
        }
    }

    static func attempt<Result>(
        _ call: String, _ path: String, _ body: () throws(Errno) -> Result
    ) throws(Failure) -> Result {
        do throws(Errno) { return try body() } catch { throw Failure("\(call) \(path): \(describe(error))") }
    }
}
