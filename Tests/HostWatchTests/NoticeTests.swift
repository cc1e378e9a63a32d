// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HostWatch

/// Events as inotify(7) lays them out.
@Suite struct NoticeTests {
    private func bytes(_ watch: Int32, _ mask: UInt32, _ cookie: UInt32, _ name: String, room: Int) -> [UInt8]
    {
        let words = [UInt32(bitPattern: watch), mask, cookie, UInt32(room)]
        let padding = [UInt8](repeating: 0, count: max(0, room - name.utf8.count))
        return words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
            + Array(name.utf8) + padding
    }

    @Test func noticesOfTheKernelAreRead() {
        let stream =
            bytes(7, 0x100, 0, "name", room: 16) + bytes(8, 4, 0, "", room: 0)
            + bytes(-1, 0x4000, 0, "", room: 0) + bytes(9, 0x40, 0x8000_0001, "sixteen letters.", room: 16)
        let notices = Notice.all(in: stream[...])
        #expect(
            notices == [
                Notice(watch: 7, mask: 0x100, cookie: 0, name: Array("name".utf8)),
                Notice(watch: 8, mask: 4, cookie: 0, name: []),
                Notice(watch: -1, mask: 0x4000, cookie: 0, name: []),
                Notice(watch: 9, mask: 0x40, cookie: 0x8000_0001, name: Array("sixteen letters.".utf8)),
            ])
        #expect(notices.map(\.isLoss) == [false, false, true, false])
        // Not at the beginning of an array.
        #expect(Notice.all(in: stream[32...]) == Array(notices.dropFirst()))
    }

    @Test func whatIsCutOffIsLeftOut() {
        let one = bytes(7, 0x100, 0, "name", room: 16)
        for length in 0..<one.count { #expect(Notice.all(in: one[..<length]).isEmpty, "\(length)") }
        #expect(Notice.all(in: (one + one.dropLast())[...]).count == 1)
        #expect(Notice.all(in: bytes(1, 1, 1, "x", room: 1)[..<17]).count == 1)
        var long = one
        long[15] = 0xff
        #expect(Notice.all(in: long[...]).isEmpty)
    }
}
