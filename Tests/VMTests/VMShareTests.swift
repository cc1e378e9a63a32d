// SPDX-License-Identifier: Apache-2.0
import Guest
import HostOS
import Testing

/// What programs and users do on a share, under the options that change it; all shares of a stack in one guest.
@Suite struct VMShareTests {
    /// A share and the scenarios that run in it, each with its words.
    private struct Case {
        let scratch: ScratchDirectory
        let share: TestShare
        let scenarios: [(name: String, words: [String])]

        init(
            _ tag: String, _ requestQueues: Int, cache: String? = nil, readOnly: Bool = false,
            _ options: [String] = [],
            run scenarios: [(name: String, words: [String])]
        ) throws {
            scratch = try ScratchDirectory()
            share = TestShare(
                tag, scratch.path, cache: cache, requestQueues: requestQueues, readOnly: readOnly,
                options: ["--xattr"] + options)
            self.scenarios = scenarios
        }
    }

    /// What the word "privileged" of the scenarios speaks of.
    private static let privileged = "--modcaps=+sys_admin:+linux_immutable"

    private func check(_ stack: Stack, _ cases: [Case]) throws {
        let guest = try TestGuest(stack, cases.map(\.share))
        for one in cases {
            for (name, words) in one.scenarios { try guest.run(name, in: "/mnt/\(one.share.tag)", words) }
            try guest.expectSameOnBothSides(one.share)
        }
        guest.end()
    }

    private func readOnlyCase(requestQueues: Int) throws -> Case {
        let result = try Case(
            "readonly", requestQueues, readOnly: true, run: [("readonly", ["in-place"])])
        let script = """
            cd "$0" && printf 'of the host' >file && mkdir directory && ln -s file link && setfattr -n user.x -v 1 file
            """
        let made = try ChildProcess.run("/bin/sh", ["-ec", script, result.scratch.path])
        try #require(made.end == .exited(0), "\(String(decoding: made.errors, as: UTF8.self))")
        return result
    }

    @Test(.enabled(if: requirementsMet("VMShare.stock", .qemu, .debianRoot, .root)))
    func stock() throws {
        try check(
            .stock,
            [
                try Case("plain", 1, run: [("files", []), ("names", []), ("users", []), ("programs", [])]),
                try Case(
                    "acl", 1, ["--posix-acl", Self.privileged], run: [("users", ["acl", "privileged"])]),
                try Case("never", 1, cache: "never", ["--allow-direct-io"], run: [("files", ["no-mapping"])]),
                try Case(
                    "always", 1, cache: "always", [Self.privileged], run: [("names", ["privileged"])]),
                try Case("metadata", 1, cache: "metadata", run: [("core", ["no-mapping"])]),
                try Case("writeback", 1, ["--writeback"], run: [("files", [])]),
                try readOnlyCase(requestQueues: 1),
            ])
    }

    @Test(.enabled(if: requirementsMet("VMShare.lab", .qemu, .lab, .debianRoot, .root)))
    func lab() throws {
        try check(
            .lab,
            [
                try Case("plain", 4, run: [("files", []), ("names", []), ("users", []), ("programs", [])]),
                try Case(
                    "acl", 4, ["--posix-acl", Self.privileged], run: [("users", ["acl", "privileged"])]),
                try Case("writeback", 4, ["--writeback"], run: [("core", [])]),
                try Case("mapped", 4, cache: "never", ["--allow-mmap"], run: [("core", [])]),
                try Case(
                    "exclusive", 4, cache: "always", ["--exclusive", Self.privileged],
                    run: [
                        ("files", []), ("names", ["privileged"]), ("users", ["privileged"]), ("programs", []),
                    ]),
                try readOnlyCase(requestQueues: 4),
            ])
    }
}
