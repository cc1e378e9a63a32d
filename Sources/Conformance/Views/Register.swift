// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

/// A file with a number that only grows, written by one thread at a time and read by all at any time, by any way: what is read must lie
/// between what has been written for good and what somebody has begun to write, and nobody may see less than
/// another has seen before. But by the way by which it is just being written either number may be seen until the call returns: a kernel
/// shows what it has cached until it has the answer to its own request, and the pages of its own write before that.
final class Register: Sendable {
    private let name: String
    private let isSize: Bool
    private let begun = Atomic<Int>(0)
    private let done = Atomic<Int>(0)
    private let seen = Atomic<Int>(0)
    private let writing = Mutex(0)
    private let lastWriter = Mutex("")

    /// - Parameter isSize: the number is the file's size; else it is written in it.
    init(_ name: String, isSize: Bool) {
        self.name = name
        self.isSize = isSize
    }

    func make(in view: String) throws(Failure) {
        let number = try Field.system("open", "\(view)/\(name)") {
            unsafe open($0, O_WRONLY | O_CREAT, 0o644)
        }
        _ = close(number)
    }

    /// False: another thread is just writing.
    func write(by view: String) throws(Failure) -> Bool {
        let result = writing.withLockIfAvailable { last -> Result<Void, Failure> in
            last += 1
            lastWriter.withLock { $0 = view }
            begun.store(last, ordering: .sequentiallyConsistent)
            do throws(Failure) {
                try put(last, "\(view)/\(name)")
            } catch {
                return .failure(error)
            }
            done.store(last, ordering: .sequentiallyConsistent)
            return .success(())
        }
        guard let result else { return false }
        try result.get()
        return true
    }

    private func put(_ value: Int, _ path: String) throws(Failure) {
        if isSize {
            try Field.system("truncate", path) { unsafe truncate($0, value) }
            return
        }
        let number = try Field.system("open", path) { unsafe open($0, O_WRONLY | O_CLOEXEC) }
        defer { _ = close(number) }
        let text = String(value)
        let bytes = Array((String(repeating: "0", count: 12 - text.utf8.count) + text).utf8)
        guard unsafe pwrite(number, bytes, bytes.count, 0) == bytes.count else {
            throw Failure("write \(path): errno \(errno)")
        }
    }

    func read(by view: String) throws(Failure) {
        let (finished, known) = (
            done.load(ordering: .sequentiallyConsistent), seen.load(ordering: .sequentiallyConsistent)
        )
        let writerBefore = lastWriter.withLock { $0 }
        let value = try get("\(view)/\(name)")
        let isWriters = [writerBefore, lastWriter.withLock { $0 }].contains(view)
        let least = isWriters ? finished : max(finished, known)
        let most = begun.load(ordering: .sequentiallyConsistent)
        guard least...max(least, most) ~= value else {
            let later = try get("\(view)/\(name)")
            throw Failure(
                "\(view)/\(name) shows \(value) after \(least), and then \(later) (\(most) is the newest, by \(writerBefore))"
            )
        }
        if !isWriters { seen.max(value, ordering: .sequentiallyConsistent) }
    }

    private func get(_ path: String) throws(Failure) -> Int {
        if isSize {
            var status = stat()
            try Field.system("stat", path) { unsafe stat($0, &status) }
            return status.st_size
        }
        do throws(Errno) {
            let bytes = try Files.read(path)
            return bytes.isEmpty ? 0 : Int(String(decoding: bytes, as: UTF8.self)) ?? -1
        } catch {
            throw Failure("read \(path): \(describe(error))")
        }
    }
}
