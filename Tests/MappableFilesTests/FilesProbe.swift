// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

/// The program of Tests/FilesProbe, which does one scenario.
enum FilesProbe {
    /// - Parameter launcher: a shell command that runs it, as "$@".
    /// - Returns: how it ended, and what it says was not as expected.
    static func run(
        _ scenario: String, in folder: String, launcher: String = "\"$@\""
    ) throws -> (end: ChildProcess.End, words: String) {
        let own = try Files.ownProgram()
        let built = own.prefix(upTo: try #require(own.lastIndex(of: "/")))
        let result = try ChildProcess.run(
            "/bin/sh", ["-c", launcher, "sh", "\(built)/filesprobe", scenario, folder])
        return (result.end, String(decoding: result.errors, as: UTF8.self))
    }

    /// What this host has not got; nil: everything is there.
    static let missing: Comment? = {
        guard let result = try? run("start", in: "/") else { return "needs the program filesprobe" }
        return result.end == .exited(0)
            ? nil
            : Comment(
                rawValue:
                    "needs root and FUSE passthrough (\(result.words.split(separator: "\n").first ?? ""))")
    }()

    /// Does a scenario in a new directory.
    static func expectSuccess(_ scenario: String, in parent: String? = nil) throws {
        let directory = try TemporaryDirectory(prefix: "files-test-", in: parent)
        let result = try run(scenario, in: directory.path)
        #expect(result.end == .exited(0) && result.words.isEmpty, Comment(rawValue: result.words))
    }
}
