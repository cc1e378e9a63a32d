// SPDX-License-Identifier: Apache-2.0
import Conformance
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// All checks in a guest, on shares of ours: what a real driver makes of the daemon.
@Suite(.serialized) struct VMConformanceTests {
    /// Failures that are not the daemon's, and why.
    private static let known: [String: String] = {
        let groups = "Linux before 6.3 does not send the caller's groups, by which set-group-ID could stay"
        return [
            "mknod/set-group-id-of-another-group": groups,
            "open/set-group-id-of-another-group": groups,
            "setgid/strangers-make-no-set-group-id-program": groups,
        ]
    }()

    @Test(
        .enabled(if: requirementsMet("VMConformance", .uml, .debianRoot, .root)))
    func inAGuest() throws {
        let (program, scratch) = (try ScratchDirectory(), try ScratchDirectory())
        try Self.copyProgram(to: program.path)
        let shares = [
            TestShare("program", program.path, cache: "always", readOnly: true),
            TestShare("share", scratch.path, options: ["--posix-acl", "--xattr"]),
        ]
        let guest = try TestGuest(.uml, shares)
        let result = try guest.debian(
            """
            cd /mnt/program
            exec ./ld-linux-x86-64.so.2 --library-path . ./conformance --json /mnt/share
            """)
        let results = ConformanceResults(result.text)
        for (name, reason) in results.failed.sorted(by: { $0.key < $1.key }) where Self.known[name] == nil {
            Issue.record("\(name): \(reason)\n\(guest.tails)")
        }
        for name in Self.known.keys where results.passed.contains(name) {
            Issue.record("\(name) passes, and is known to fail: \(Self.known[name] ?? "")")
        }
        for line in results.rest { Issue.record("\(line)") }
        #expect(results.count > 500, "\(results.count) checks ran: \(result.errorText)")
        guest.end()
    }

    /// The program beside the tests with all libraries that it needs, found by ldd.
    private static func copyProgram(to directory: String) throws {
        let folder = try Files.ownProgram().split(separator: "/").dropLast().map { "/" + $0 }.joined()
        let script = """
            program=$1/conformance
            cp "$program" "$2"
            ldd "$program" | grep -o '/[^ ]*' | while read -r library; do cp -L "$library" "$2"; done
            """
        let made = try ChildProcess.run("/bin/sh", ["-ec", script, "sh", folder, directory])
        try #require(made.end == .exited(0), "\(String(decoding: made.errors, as: UTF8.self))")
    }
}
