// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS
import Testing

/// The process and its files, on this kernel. What each scenario expects is in Tests/FilesProbe.
@Suite(.enabled(if: FilesProbe.missing == nil, FilesProbe.missing))
struct MappableFilesTests {
    @Test(arguments: [
        "content", "untouched", "many", "refused", "restricted", "abandoned", "killed", "stopped", "forged",
        "lineage",
        "inherited", "released", "walled",
    ])
    func onDisk(scenario: String) throws { try FilesProbe.expectSuccess(scenario) }

    @Test(
        .enabled(
            if: isAnnounced("/tmp"), "needs a file system below /tmp that announces changes (Linux 6.14)"),
        arguments: ["announced", "untold", "crowd", "nested", "busy", "unheard", "finished", "gone"])
    func truncations(scenario: String) throws { try FilesProbe.expectSuccess(scenario) }

    @Test func truncationsOnTmpfs() throws { try FilesProbe.expectSuccess("partial", in: "/dev/shm") }

    /// A file system on another one; two of them one on the other are too many.
    @Test func onOverlays() throws {
        let directory = try TemporaryDirectory(prefix: "files-test-")
        let mounts = """
            cd \(directory.path) && mount -t tmpfs files . && cd \(directory.path) &&
            mkdir low up work over up2 work2 over2 &&
            mount -t overlay files -o lowerdir=low,upperdir=up,workdir=work over &&
            mount -t overlay files -o lowerdir=over,upperdir=up2,workdir=work2 over2
            """
        let launcher = "unshare -m /bin/sh -c '\(mounts) && exec \"$@\"' sh \"$@\""
        let once = try FilesProbe.run("other", in: directory.path + "/over", launcher: launcher)
        #expect(once.end == .exited(0), Comment(rawValue: once.words))
        let twice = try FilesProbe.run("other", in: directory.path + "/over2", launcher: launcher)
        #expect(twice.end == .exited(1) && twice.words == "\(Errno.ELOOP)\n", Comment(rawValue: twice.words))
    }

    /// What the caller reads when it has to go on without.
    @Test func whoMayNotIsTold() throws {
        for launcher in [
            "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \"$@\"",
            "unshare --user --map-root-user \"$@\"",
        ] {
            let result = try FilesProbe.run("start", in: "/", launcher: launcher)
            #expect(result.end == .exited(77))
            #expect(
                result.words == "cannot make files mappable beyond their end: Operation not permitted; "
                    + "it takes CAP_SYS_ADMIN, not in a user namespace\n")
        }
    }

    @Test(arguments: ["content", "untouched", "other"]) func onTmpfs(scenario: String) throws {
        try FilesProbe.expectSuccess(scenario, in: "/dev/shm")
    }
}

/// Whether fanotify says that a file in `folder` is about to be changed.
private func isAnnounced(_ folder: String) -> Bool {
    let group = vfs_fanotify_group()
    guard group >= 0 else { return false }
    defer { close(group) }
    let file = open(folder, VFS_O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600)
    defer { close(file) }
    return vfs_fanotify_add(group, file, 1) == 0
}
