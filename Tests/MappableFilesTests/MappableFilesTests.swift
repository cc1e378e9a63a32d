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
        "inherited", "released",
    ])
    func onDisk(scenario: String) throws { try FilesProbe.expectSuccess(scenario) }

    @Test(
        .enabled(
            if: isAnnounced("/tmp"), "needs a file system below /tmp that announces changes (Linux 6.14)"),
        arguments: ["announced", "untold", "crowd", "nested", "busy", "unheard", "finished", "gone"])
    func truncations(scenario: String) throws { try FilesProbe.expectSuccess(scenario) }

    @Test func truncationsOnTmpfs() throws { try FilesProbe.expectSuccess("partial", in: "/dev/shm") }

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
