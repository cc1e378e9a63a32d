// SPDX-License-Identifier: Apache-2.0
import Backend
import HostFS
import Testing

@testable import virtiofsd

@Suite struct LimitOptionTests {
    @Test func nothingIsLimitedByDefault() throws {
        let read = try options(with: "--sandbox=none")
        #expect(read.share.limits == Limits() && read.requestLimits == RequestLimits())
    }

    @Test func eachHasItsOption() throws {
        let read = try options(
            with: "--limit-open-files", "100", "--limit-inodes=2K", "--limit-in-flight=64",
            "--limit-bytes-per-second=10M", "--limit-requests-per-second", "3000")
        #expect(read.share.limits.openFiles == 100 && read.share.limits.inodes == 2048)
        #expect(read.requestLimits.inFlight == 64 && read.share.limits.waitingLocks == 63)
        #expect(read.requestLimits.bytesPerSecond == 10 << 20)
        #expect(read.requestLimits.requestsPerSecond == 3000)
    }

    @Test(
        arguments: [
            ("1", 1), ("64K", 65536), ("3M", 3 << 20), ("1G", 1 << 30), ("1024G", 1 << 40),
            ("1099511627776", 1 << 40),
        ] as [(String, UInt64)]) func quantities(text: String, value: UInt64) throws
    {
        #expect(try parseQuantity(text, option: "--limit-inodes") == value)
    }

    @Test(arguments: [
        ("K", "not a number"), ("1k", "not a number"), ("1.5M", "not a number"),
        ("-1", "not a number"), ("+1", "not a number"), ("1KK", "not a number"), ("é", "not a number"),
        ("0", "the number is out of range"), ("0G", "the number is out of range"),
        ("1025G", "the number is out of range"), ("99999999999999999999", "the number is out of range"),
        ("18446744073709551615G", "the number is out of range"),
    ]) func quantitiesThatAreNone(text: String, reason: String) {
        let refused = refusal(with: "--limit-inodes=" + text)
        #expect(
            refused?.hasSuffix(": \(reason); give a number from 1 to 1024G, such as 500, 64K or 100M") == true
        )
        #expect(refused?.hasPrefix("cannot use --limit-inodes ") == true)
    }
}
