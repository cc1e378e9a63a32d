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
        "inherited",
    ])
    func onDisk(scenario: String) throws { try FilesProbe.expectSuccess(scenario) }

    @Test(arguments: ["content", "untouched", "other"]) func onTmpfs(scenario: String) throws {
        try FilesProbe.expectSuccess(scenario, in: "/dev/shm")
    }
}
