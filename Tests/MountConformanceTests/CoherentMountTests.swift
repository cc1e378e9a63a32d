// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// Several mounts of one directory, each with a daemon of its own, compared with one another (`conformance views`).
@Suite(.serialized) struct CoherentMountTests {
    private static func ready(_ name: String) -> Bool {
        let missing =
            [Requirement.root].compactMap(\.missing)
            + (access("/dev/fuse", R_OK | W_OK) == 0 ? [] : ["/dev/fuse"])
        if missing.isEmpty { return true }
        let line = "skipped: \(name): needs \(missing.joined(separator: "; "))\n"
        _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
        return false
    }

    /// A directory, and mounts of it.
    private final class Views {
        let scratch: TemporaryDirectory
        let mounts: [MountedShare]

        init(_ count: Int, options: [String], daemonOptions: [String] = [], table: Bool) throws {
            let scratch = try TemporaryDirectory(prefix: "views-", in: "/var/tmp")
            try Files.makeDirectories(scratch.path + "/shared")
            let tableOptions = table ? ["--version-table", scratch.path + "/table"] : []
            mounts = try (0..<count).map { _ in
                try MountedShare(
                    nil, daemonOptions, options: options + tableOptions, shared: scratch.path + "/shared")
            }
            self.scratch = scratch
        }

        func compare(operations: Int) throws -> (end: ChildProcess.End?, text: String) {
            try runConformance(
                ["views", "--operations", "\(operations)", "--seed", "\(UInt32.random(in: 0...1_000_000))"]
                    + ["--host", scratch.path + "/shared"] + mounts.map(\.mountPoint), seconds: 300)
        }
    }

    @Test(.enabled(if: ready("mounts with caches that are never stale")))
    func coherentCachesAreNeverStale() throws {
        let views = try Views(4, options: ["--cache", "coherent"], table: true)
        let (end, text) = try views.compare(operations: 10_000)
        #expect(end == .exited(0), "\(text)\(views.mounts.map(\.messageText).joined())")
    }

    /// What the comparison is worth: long caches without a table are stale, and it says so.
    @Test(.enabled(if: ready("mounts with stale caches")))
    func staleCachesAreFound() throws {
        let views = try Views(2, options: [], daemonOptions: ["--cache", "always"], table: false)
        let (end, text) = try views.compare(operations: 10_000)
        #expect(end == .exited(1) && text.contains("STALE: "), "\(text)")
    }
}
