// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@testable import Frontend

@Suite struct ReplyVerdictTests {
    private func judge(
        length: UInt32, error: Int32 = 0, unique: UInt64 = 6, written: Int, _ shape: ReplyShape
    ) -> ReplyVerdict {
        var header = OutHeader()
        header.length = length
        header.error = error
        header.unique = unique
        return ReplyVerdict(header: header, written: written, unique: 6, shape: shape)
    }

    @Test func goodReplies() {
        #expect(judge(length: 16, written: 16, .fixed(0)) == .success(byteCount: 0))
        #expect(judge(length: 144, written: 144, .fixed(128)) == .success(byteCount: 128))
        #expect(judge(length: 116, written: 116, .variable(4096)) == .success(byteCount: 100))
        #expect(judge(length: 16, error: -2, written: 16, .fixed(128)) == .failure(-2))
        #expect(judge(length: 16, error: -511, written: 16, .fixed(128)) == .failure(-511))
    }

    /// A back-end of an older protocol: the rest is zero.
    @Test func aShortStruct() {
        #expect(judge(length: 24, written: 24, .fixed(128)) == .success(byteCount: 8))
    }

    @Test(arguments: [
        (16, 0, 6, 15),  // less than a header
        (0, 0, 6, 0),  // nothing at all
        (17, 0, 6, 16),  // claims more than there is
        (16, 0, 6, 24),  // claims less
        (16, 0, 8, 16),  // answers another request
        (16, 1, 6, 16), (16, -512, 6, 16), (16, Int32.min, 6, 16),  // no error number
        (145, 0, 6, 145),  // longer than the struct
    ])
    func nonsense(length: Int, error: Int32, unique: Int, written: Int) {
        let verdict = judge(
            length: UInt32(length), error: error, unique: UInt64(unique), written: written, .fixed(128))
        #expect(verdict == .broken)
    }
}
