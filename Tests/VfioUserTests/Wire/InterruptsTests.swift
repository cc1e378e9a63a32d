// SPDX-License-Identifier: Apache-2.0
import Errors
import MessageTools
import Testing

@testable import VfioUser

@Suite struct InterruptsTests {
    @Test func reply() {
        #expect(
            InterruptInfo(count: 1, isMaskable: true).encoded(.intx) == [
                16, 0, 0, 0,  // argsz
                7, 0, 0, 0,  // flags: eventfd, maskable, masks itself
                0, 0, 0, 0,  // index
                1, 0, 0, 0,  // count
            ])
        #expect(
            InterruptInfo(count: 65, noResize: true).encoded(.msix) == le32(16) + le32(9) + le32(2) + le32(65)
        )
        #expect(InterruptInfo(count: 0).encoded(.request) == le32(16) + le32(1) + le32(4) + le32(0))
    }

    @Test func request() throws {
        for index in InterruptIndex.allCases {
            let bytes: [UInt8] =
                [
                    16, 0, 0, 0,  // argsz
                    0, 0, 0, 0,  // flags
                    UInt8(index.rawValue), 0, 0, 0,  // index
                ] + zeros(4)
            #expect(try InterruptInfo.decodeRequest(bytes) == index)
        }
        let last = le32(16) + le32(0) + le32(4) + le32(0)
        for wrong in [
            Array(last.dropLast()), last + [0], [], le32(15) + zeros(12),
            le32(16) + le32(0) + le32(5) + le32(0),
            le32(16) + le32(0) + le32(.max) + le32(0),
        ] {
            #expect(throws: Errno.EINVAL) { try InterruptInfo.decodeRequest(wrong) }
        }
    }
}
