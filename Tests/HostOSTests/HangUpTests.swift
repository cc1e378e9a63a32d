// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Testing

@Suite struct HangUpTests {
    @Test func whatThereIsToReadIsNoHangUp() throws {
        let (first, second) = (try EventFD(), try EventFD())
        let pair = try SocketPair()
        try pair.split { (ours, theirs) throws(Errno) in
            func ready() -> UInt8 {
                waitReadable(
                    first.descriptor.rawValue, second.descriptor.rawValue, orHangUpOf: ours.rawValue,
                    timeoutMilliseconds: 0)
            }
            #expect(ready() == 0)
            try Files.writeAll(theirs.rawValue, [1])
            #expect(ready() == 0)
            first.signal()
            #expect(ready() == 0b001)
            second.signal()
            #expect(ready() == 0b011)
            #expect(shutdown(theirs.rawValue, Int32(SHUT_WR)) == 0)
            #expect(ready() == 0b111)
        }
        #expect(
            waitReadable(
                first.descriptor.rawValue, -1, orHangUpOf: -1, timeoutMilliseconds: 0) == 0b001)
    }
}
