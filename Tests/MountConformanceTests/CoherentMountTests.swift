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
        private let tableOptions: [String]

        init(_ count: Int, options: [String], daemonOptions: [String] = [], table: Bool) throws {
            let scratch = try TemporaryDirectory(prefix: "views-", in: "/var/tmp")
            try Files.makeDirectories(scratch.path + "/shared")
            let tableOptions = table ? ["--version-table", scratch.path + "/table"] : []
            mounts = try (0..<count).map { _ in
                try MountedShare(
                    nil, daemonOptions, options: options + tableOptions, shared: scratch.path + "/shared")
            }
            self.scratch = scratch
            self.tableOptions = tableOptions
        }

        func compare(operations: Int) throws -> (end: ChildProcess.End?, text: String) {
            try runConformance(
                ["views", "--operations", "\(operations)", "--seed", "\(UInt32.random(in: 0...1_000_000))"]
                    + ["--host", scratch.path + "/shared"] + tableOptions + mounts.map(\.mountPoint),
                seconds: 300)
        }
    }

    @Test(.enabled(if: ready("mounts with caches that are never stale")))
    func coherentCachesAreNeverStale() throws {
        let views = try Views(4, options: ["--cache", "coherent"], table: true)
        let (end, text) = try views.compare(operations: 10_000)
        #expect(end == .exited(0), "\(text)\(views.mounts.map(\.messageText).joined())")
    }

    /// What the mount's kernel has cached for ever it gives up, although nobody asked it before the change.
    @Test(.enabled(if: ready("a mount of what the host's programs change")))
    func hostsEditsShowUp() throws {
        let views = try Views(1, options: ["--cache", "coherent"], table: true)
        let (file, seen) = (views.scratch.path + "/shared/file", views.mounts[0].mountPoint + "/file")
        func size() -> Int {
            var status = stat()
            return stat(seen, &status) == 0 ? status.st_size : -1
        }
        // A watcher has to be there before anything is cached.
        usleep(300_000)
        for round in 1...20 {
            let path = round % 2 == 0 ? file + ".new" : file
            let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
            let opened = OwnedDescriptor(adopting: try systemCall { open(path, flags, 0o644) })
            try Files.writeAll(opened.rawValue, [UInt8](repeating: 1, count: round))
            if path != file { #expect(rename(path, file) == 0) }
            let deadline = Deadline(milliseconds: 30_000)
            while size() != round, !deadline.hasPassed { usleep(1000) }
            #expect(size() == round)
            for _ in 0..<3 {
                usleep(1000)
                _ = size()
            }
        }
    }

    /// What the comparison is worth: long caches without a table are stale, and it says so.
    @Test(.enabled(if: ready("mounts with stale caches")))
    func staleCachesAreFound() throws {
        let views = try Views(2, options: [], daemonOptions: ["--cache", "always"], table: false)
        let (end, text) = try views.compare(operations: 10_000)
        #expect(end == .exited(1) && text.contains("STALE: "), "\(text)")
    }
}
