// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@testable import Bench

@Suite struct BareCallsTests {
    /// All tests of the catalogue can be made of system calls, and leave nothing behind.
    @Test(arguments: Catalogue.all.map(\.name)) func measures(name: String) throws {
        let script =
            name == "readdirplus"
            ? Catalogue.readdirplus(entries: 300) : try #require(Catalogue.select([name]).scripts.first)
        let parent = try TemporaryDirectory(prefix: "bare-test.")
        let result = try BareCalls(in: parent.path).measure(script, depth: 3, seconds: 0)
        #expect(result.operations == 16 && result.operationsPerSecond > 0)
        #expect(result.processorTimePerOperation > 0)
        #expect(try Files.names(in: parent.path) == [])
        #expect(try opened(below: parent.path) == [])
    }

    /// The thread beside the calls uses its CPU meanwhile and is gone afterwards.
    @Test func aGuestThatIsAwake() throws {
        func threads() throws -> [String] {
            try Files.names(in: "/proc/self/task").filter {
                try Files.text("/proc/self/task/\($0)/comm").hasPrefix("awake")
            }
        }
        #expect(try threads() == [])
        #expect(try AwakeGuest.beside { 7 } == 7)
        // It gives itself its name.
        let deadline = Deadline(milliseconds: 10_000)
        let seen = try AwakeGuest.beside { () throws(Errno) in
            while !deadline.hasPassed, (try? threads()) == [] { usleep(1000) }
            return (try? threads())?.count
        }
        #expect(seen == 1)
        #expect(try threads() == [])
        let parent = try TemporaryDirectory(prefix: "bare-test.")
        let script = try #require(Catalogue.select(["getattr"]).scripts.first)
        let result = try BareCalls(in: parent.path, besideAwakeGuest: true)
            .measure(script, depth: 1, seconds: 0)
        #expect(result.operations == 16)
        #expect(try threads() == [])
    }

    /// The descriptors of this process that are of something in `directory`; other tests run beside this one.
    private func opened(below directory: String) throws -> [String] {
        try Files.names(in: "/proc/self/fd").filter { number in
            var target = [CChar](repeating: 0, count: 4097)
            return readlink("/proc/self/fd/\(number)", &target, 4096) > 0
                && String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                    .hasPrefix(directory)
        }
    }

    @Test func whatTheFileSystemRefusesIsAnError() throws {
        let script = try #require(Catalogue.select(["getattr"]).scripts.first)
        #expect(throws: Errno.ENOENT) {
            try BareCalls(in: "/nonexistent").measure(script, depth: 1, seconds: 0)
        }
    }
}
