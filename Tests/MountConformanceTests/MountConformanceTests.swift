// SPDX-License-Identifier: Apache-2.0
import Conformance
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// All checks through `virtiofs mount`, over our daemon and the others, and the exerciser of files.
@Suite(.serialized) struct MountConformanceTests {
    private static let checkSeconds: Int32 = 600

    private static func ready(_ name: String, _ requirements: Requirement...) -> Bool {
        let missing =
            requirements.compactMap(\.missing) + (access("/dev/fuse", R_OK | W_OK) == 0 ? [] : ["/dev/fuse"])
        if missing.isEmpty { return true }
        let line = "skipped: \(name): needs \(missing.joined(separator: "; "))\n"
        _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
        return false
    }

    private func check(
        _ daemon: String?, _ options: [String], known: [KnownFailure],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let share = try MountedShare(daemon, options)
        let (end, text) = try runConformance(["--json", share.mountPoint], seconds: Self.checkSeconds)
        let run = ConformanceResults(text)
        if end != .exited(0) && end != .exited(1) {
            Issue.record("conformance: \(end.map { "\($0)" } ?? "no end")", sourceLocation: sourceLocation)
        }
        for (name, reason) in run.failed.sorted(by: { $0.key < $1.key }) {
            if known.contains(where: { $0.names.contains(name) }) { continue }
            Issue.record("\(name): \(reason)", sourceLocation: sourceLocation)
        }
        for failure in known where !failure.isARace {
            for name in failure.names.intersection(run.passed).sorted() {
                Issue.record(
                    "\(name) passes, and is known to fail: \(failure.reason)", sourceLocation: sourceLocation)
            }
        }
        for line in run.rest { Issue.record("\(line)", sourceLocation: sourceLocation) }
        #expect(run.count > 500, "\(run.count) checks ran", sourceLocation: sourceLocation)
        try exercise(share, sourceLocation)
    }

    private func exercise(_ share: MountedShare, _ sourceLocation: SourceLocation) throws {
        for mode in [[], ["--shared"]] {
            let words = ["fsx", "--seconds", "5", "--seed", "\(UInt32.random(in: 0...1_000_000))"] + mode
            let (end, text) = try runConformance(words + [share.mountPoint], seconds: 120)
            if end != .exited(0) {
                Issue.record(
                    "\(words): \(end.map { "\($0)" } ?? "no end"): \(text)", sourceLocation: sourceLocation)
            }
        }
    }

    @Test(
        .enabled(if: ready("mount of our daemon", .root)),
        arguments: [
            [], ["--posix-acl", "--xattr", "--cache=always"],
            ["--posix-acl", "--xattr", "--cache=never", "--allow-mmap", "--modcaps=+linux_immutable"],
            // Without handles Landlock guards the share's files.
            ["--posix-acl", "--xattr", "--sandbox=none", "--inode-file-handles=never"],
        ])
    func ours(options: [String]) throws { try check(nil, options, known: []) }

    /// READs are answered from the daemon's DAX window, where it has the bytes.
    @Test(.enabled(if: ready("mount with a window", .root)), arguments: ["never", "auto"])
    func window(cache: String) throws {
        let share = try MountedShare(
            nil, ["--cache=\(cache)", "--allow-mmap", "--dax-min-size=1"], options: ["--dax", "64M"])
        try exercise(share, #_sourceLocation)
    }

    @Test(.enabled(if: ready("mount of the Rust daemon", .root, .lab)))
    func rust() throws {
        try check(Lab.rustDaemon, ["--sandbox=none", "--posix-acl", "--xattr"], known: KnownFailures.ofRust)
    }

    @Test(.enabled(if: ready("mount of the C daemon", .root, .cDaemon)))
    func c() throws {
        try check(
            Lab.cDaemon, ["-o", "sandbox=chroot", "-o", "xattr", "-o", "posix_acl"], known: KnownFailures.ofC)
    }
}
