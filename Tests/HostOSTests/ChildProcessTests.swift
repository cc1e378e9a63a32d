// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Testing

@testable import HostOS

@Suite struct ChildProcessTests {
    private func shell(_ script: String) throws -> (end: ChildProcess.End, output: String, errors: String) {
        let result = try ChildProcess.run("/bin/sh", ["-c", script])
        return (
            result.end, String(decoding: result.output, as: UTF8.self),
            String(decoding: result.errors, as: UTF8.self)
        )
    }

    /// The state letter of /proc/PID/stat, "" when there is no such process.
    private func state(of process: String) -> String {
        guard let text = try? Files.text("/proc/\(process)/stat") else { return "" }
        return text.split(separator: ")").last.map { String($0.prefix(2).dropFirst()) } ?? ""
    }

    @Test func streamsAndStatus() throws {
        let result = try shell("printf out; printf err >&2; exit 3")
        #expect(result.output == "out")
        #expect(result.errors == "err")
        #expect(result.end == .exited(3))
        #expect(result.end.shellStatus == 3)
    }

    @Test func deathBySignal() throws {
        let result = try shell("kill -TERM $$")
        #expect(result.end == .killed(signal: SIGTERM))
        #expect(result.end.shellStatus == 143)
    }

    @Test func programThatIsNotThere() {
        #expect(throws: Errno.ENOENT) { try ChildProcess.run("/nonexistent", []) }
        #expect(throws: Errno.EACCES) { try ChildProcess.run("/etc/passwd", []) }
    }

    @Test func onlyTheGivenDescriptorsAreOpen() throws {
        let (reader, writer) = try pipe()
        defer { close(reader) }
        let null = open("/dev/null", O_RDWR)  // not close-on-exec
        defer { close(null) }
        let child = try ChildProcess(
            program: "/bin/ls", arguments: ["/proc/self/fd"],
            descriptors: [null, writer, null, null, writer, null])
        close(writer)
        #expect(child.wait() == .exited(0))
        let names = String(decoding: try Files.readAll(reader), as: UTF8.self)
        #expect(names == "0\n1\n2\n3\n4\n5\n6\n")  // 6 is the directory that ls reads
    }

    @Test func environmentIsGiven() throws {
        let file = try makeMemoryFile(name: "test", byteCount: 0)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        let child = try ChildProcess(
            program: "/bin/sh", arguments: ["-c", "echo $COLOUR"], environment: ["COLOUR=blue"],
            descriptors: [null, file.rawValue, null])
        #expect(child.wait() == .exited(0))
        #expect(try Files.readAllFromStart(file.rawValue) == Array("blue\n".utf8))
    }

    @Test func whatItStartedEndsWithIt() throws {
        let result = try shell("sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
        let orphan = result.output.filter { $0.isNumber }
        #expect(!orphan.isEmpty)
        #expect(state(of: orphan) == "")
    }

    @Test func stopAsksThenKills() throws {
        let (reader, writer) = try pipe()
        defer { close(reader) }
        let polite = try ChildProcess(
            program: "/bin/sh",
            arguments: ["-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"],
            descriptors: [writer, writer, writer])
        let stubborn = try ChildProcess(
            program: "/bin/sh", arguments: ["-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"],
            descriptors: [writer, writer, writer])
        close(writer)
        // Both have set their traps when both have spoken.
        var heard = 0
        while heard < 6 {
            var bytes = [UInt8](repeating: 0, count: 6)
            let count = read(reader, &bytes, 6)
            guard count > 0 else { break }
            heard += count
        }
        #expect(polite.end == nil)
        #expect(polite.stop(graceMilliseconds: 10_000) == .exited(9))
        #expect(polite.end == .exited(9))
        #expect(stubborn.stop(graceMilliseconds: 50) == .killed(signal: SIGKILL))
        #expect(stubborn.stop(graceMilliseconds: 50) == .killed(signal: SIGKILL))
    }

    private func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&ends, O_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
