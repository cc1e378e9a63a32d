// SPDX-License-Identifier: Apache-2.0
import Backend
import HostFS
import Testing

@testable import virtiofsd

@Suite struct WindowOptionTests {
    @Test func noneByDefault() throws {
        let read = try options(with: "--sandbox=none")
        #expect(read.window == nil && read.share.dax == nil)
    }

    @Test func everyOption() throws {
        let read = try options(
            with: "--dax-window=256M", "--dax-min-size", "1M", "--dax-read-only", "--dax-messages",
            "fs-map-list")
        #expect(read.window == WindowSettings(byteCount: 256 << 20, dialect: .fsMapList))
        #expect(read.share.dax?.minimumByteCount == 1 << 20)
        #expect(read.share.dax?.mapsReadOnly == true)
    }

    /// QEMU 11.1 aborts if the sum of all regions is no power of two, or beyond 512 of its own regions of memory.
    @Test(arguments: ["1M", "3M", "2097151", "1G", "768M", "0"]) func sizesThatQEMUWouldDieOf(_ size: String)
    {
        let refused = refusal(with: "--dax-window=" + size)
        #expect(refused?.hasPrefix("cannot use --dax-window \(size): ") == true)
    }

    @Test(arguments: [("2M", 2 << 20), ("512M", 512 << 20)]) func sizes(_ text: String, _ size: Int) throws {
        #expect(try options(with: "--dax-window", text).window?.byteCount == size)
    }

    @Test func olderQEMUHasNoSuchLimit() throws {
        #expect(try options(with: "--dax-window=4G", "--dax-messages=fs-map").window?.byteCount == 4 << 30)
    }

    @Test(arguments: ["--dax-min-size=1M", "--dax-read-only", "--dax-messages=shmem"])
    func withoutAWindow(_ option: String) {
        #expect(refusal(with: option)?.contains("say how large it is to be: --dax-window SIZE") == true)
    }

    @Test func whatAPersonMayHaveOverlooked() throws {
        let silent = try options(with: "--dax-window=2M", "--tag=t")
        #expect(!silent.warnings.contains { $0.contains("dax") })
        let untagged = try options(with: "--dax-window=2M")
        #expect(untagged.warnings.contains { $0.contains("without --tag") })
        let readOnly = try options(with: "--dax-window=2M", "--tag=t", "--readonly")
        #expect(readOnly.warnings.contains { $0.contains("--dax-read-only") })
        let both = try options(with: "--dax-window=2M", "--tag=t", "--readonly", "--dax-read-only")
        #expect(!both.warnings.contains { $0.contains("--dax-read-only") })
    }
}
