// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@Suite struct ReadAheadTests {
    private let mountinfo = """
        22 1 254:0 / / rw,relatime - ext4 /dev/root rw
        30 22 0:41 / /mnt rw,relatime - fuse.virtiofs /srv rw
        31 22 0:42 / /mnt\\040two/a\\134b rw,relatime - fuse.virtiofs /srv rw
        32 30 0:43 / /mnt rw,relatime - fuse.virtiofs /srv rw

        """

    @Test func theLastMountOfAPathCounts() {
        #expect(ReadAhead.device(ofMountAt: "/mnt", in: mountinfo) == "0:43")
        #expect(ReadAhead.device(ofMountAt: "/", in: mountinfo) == "254:0")
        #expect(ReadAhead.device(ofMountAt: "/mnt two/a\\b", in: mountinfo) == "0:42")
        #expect(ReadAhead.device(ofMountAt: "/mn", in: mountinfo) == nil)
    }

    @Test func whereNothingIsMounted() {
        #expect(throws: Errno.ENOENT) { try ReadAhead.set(kibibytes: 128, forMountAt: "/no such mount") }
    }
}
