// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import GuestAgent

@Suite struct UsedObjectsTests {
    @Test func watchesAreReadByDevice() {
        let text = """
            pos:\t0
            flags:\t00
            mnt_id:\t15
            ino:\t1036
            inotify wd:2 ino:ff44bc sdev:1a mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 f_handle:010000000400000000000000
            inotify wd:1 ino:ff44bd sdev:1b mask:fff ignored_mask:0 fhandle-bytes:c fhandle-type:81 f_handle:000000000500000000000000
            inotify wd:3 ino:2 sdev:80001a mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:0200000000000000
            """
        #expect(InotifyWatches.nodes(in: text, device: (0, 0x1a)) == [1 << 32 | 4])
        #expect(InotifyWatches.nodes(in: text, device: (8, 0x1a)) == [])
    }

    @Test func mappingsAreReadByDevice() {
        let text = """
            00400000-00401000 r--p 00000000 00:1a 77                                 /mnt/a b
            00401000-00402000 r-xp 00001000 00:1a 77                                 /mnt/a b
            7f0000000000-7f0000001000 rw-p 00000000 00:00 0
            7f0000002000-7f0000003000 r--p 00000000 00:1b 77                         /lib/c
            7f0000004000-7f0000005000 r--s 00000000 00:1a 78                         /mnt/d (deleted)
            """
        #expect(
            MappedRanges.ranges(in: text, device: (0, 0x1a)) == [
                "400000-401000", "7f0000004000-7f0000005000",
            ])
    }
}
