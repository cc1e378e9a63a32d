// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// A file of Scenarios: python code that runs in a guest or on the host.
struct Scenario {
    let name: String
    /// For python3's standard input.
    let code: [UInt8]

    init(_ name: String) throws {
        let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Scenarios"
        self.name = name
        code =
            try Files.read("\(folder)/library.py") + Files.read("\(folder)/\(name).py")
            + Array("\nrun()\n".utf8)
    }

    /// A listing of a directory in which both sides must agree.
    static func manifest() throws -> Scenario {
        let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Scenarios"
        let end = "\nprint(manifest(*sys.argv[1:]))\n"
        return Scenario(name: "manifest", code: try Files.read("\(folder)/library.py") + Array(end.utf8))
    }

    private init(name: String, code: [UInt8]) {
        self.name = name
        self.code = code
    }

    /// What a failed check said, by its name; a text without any result is a failure too.
    static func failures(in output: String) -> [(check: String, why: String)] {
        var failures: [(check: String, why: String)] = []
        var passed = 0
        for line in output.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("pass ") {
                passed += 1
            } else if line.hasPrefix("fail ") {
                failures.append((String(line.dropFirst(5)), ""))
            } else if line.hasPrefix("  "), !failures.isEmpty {
                failures[failures.count - 1].why += "\n" + line
            }
        }
        return passed + failures.count == 0 ? [("(no check ran)", output)] : failures
    }

    /// Runs it on the host by the python of the Debian tree; gives its standard output.
    func runOnHost(_ directory: String, _ words: [String] = []) throws -> String {
        let root = Lab.debianRoot
        let input = try makeMemoryFile(name: "scenario", byteCount: 0)
        try Files.writeAll(input.rawValue, code)
        _ = try systemCall { lseek(input.rawValue, 0, SEEK_SET) }
        let output = try makeMemoryFile(name: "output", byteCount: 0)
        let python = try ChildProcess(
            program: "\(root)/lib64/ld-linux-x86-64.so.2",
            arguments: [
                "--library-path", "\(root)/usr/lib/x86_64-linux-gnu", "\(root)/usr/bin/python3", "-",
                directory,
            ]
                + words,
            environment: ["PYTHONHOME=\(root)/usr", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"],
            descriptors: [input.rawValue, output.rawValue, output.rawValue])
        let end = python.wait(milliseconds: 120_000)
        let text = String(decoding: try Files.readAllFromStart(output.rawValue), as: UTF8.self)
        if end != .exited(0) {
            Issue.record("\(name) on the host: \(String(describing: end))\n\(text.suffix(2000))")
        }
        return text
    }
}
