// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HostWatch

@Suite struct MountListTests {
    private let text = Array(
        """
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
        30 22 0:25 / /srv rw - tmpfs none rw
        31 30 0:26 / /srv/share rw - tmpfs none rw
        32 31 0:27 / /srv/share/a\\040b\\134 rw shared:5 master:3 - proc none rw
        33 22 8:1 /x /srv/shared rw - ext4 /dev/sda1 rw
        34 31 8:1 /y /srv/share/\u{e4}/y rw - ext4 /dev/sda1 rw
        35 31 8:1 /y /srv/share/unfinished rw
        no line

        """.utf8)

    private func mounts(below root: String) -> [MountList.Mount] {
        MountList(text, below: Array(root.utf8)).mounts
    }

    @Test func whatLiesBelowIsFound() {
        #expect(
            mounts(below: "/srv/share") == [
                .init(id: 32, path: Array("/srv/share/a b\\".utf8), type: "proc"),
                .init(id: 34, path: Array("/srv/share/\u{e4}/y".utf8), type: "ext4"),
            ])
        #expect(mounts(below: "/").map(\.id) == [30, 31, 32, 33, 34])
        #expect(mounts(below: "/home").isEmpty)
    }
}
