// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@Suite struct OpcodeTests {
    /// The numbers of `enum fuse_opcode`: 7 and 19 were never given out.
    @Test func numbersAreThoseOfTheKernel() {
        let numbers = Opcode.allCases.map(\.rawValue)
        #expect(numbers == (1...53).filter { $0 != 7 && $0 != 19 })
        #expect(Opcode.write.rawValue == 16)
        #expect(Opcode.initialize.rawValue == 26)
        #expect(Opcode.readdirplus.rawValue == 44)
        #expect(Opcode.copyFileRange64.rawValue == 53)
        #expect(Opcode(rawValue: 4096) == nil, "CUSE_INIT")
    }

    @Test func onlyForgettingAndInterruptingAreSilent() {
        #expect(Opcode.allCases.filter(\.isSilent) == [.forget, .interrupt, .batchForget])
    }

    @Test func onlyMakingAnObjectHasExtensions() {
        #expect(Opcode.allCases.filter(\.mayHaveExtensions) == [.symlink, .mknod, .mkdir, .create, .tmpfile])
    }
}

@Suite struct InitFlagsTests {
    @Test(
        arguments: [
            (InitFlags.asyncRead, 0), (InitFlags.posixLocks, 1), (InitFlags.fileOps, 2),
            (InitFlags.atomicTruncate, 3),
            (InitFlags.exportSupport, 4), (InitFlags.bigWrites, 5), (InitFlags.dontMask, 6),
            (InitFlags.spliceWrite, 7),
            (InitFlags.spliceMove, 8), (InitFlags.spliceRead, 9), (InitFlags.flockLocks, 10),
            (InitFlags.hasIoctlDir, 11), (InitFlags.autoInvalidateData, 12), (InitFlags.doReaddirplus, 13),
            (InitFlags.readdirplusAuto, 14), (InitFlags.asyncDirectIO, 15), (InitFlags.writebackCache, 16),
            (InitFlags.noOpenSupport, 17), (InitFlags.parallelDirectoryOps, 18),
            (InitFlags.handleKillPriv, 19),
            (InitFlags.posixACL, 20), (InitFlags.abortError, 21), (InitFlags.maxPages, 22),
            (InitFlags.cacheSymlinks, 23), (InitFlags.noOpendirSupport, 24),
            (InitFlags.explicitInvalidateData, 25),
            (InitFlags.mapAlignment, 26), (InitFlags.submounts, 27), (InitFlags.handleKillPrivV2, 28),
            (InitFlags.setxattrExtended, 29), (InitFlags.initExtended, 30), (InitFlags.securityContext, 32),
            (InitFlags.hasInodeDAX, 33), (InitFlags.createSupplementaryGroup, 34),
            (InitFlags.hasExpireOnly, 35),
            (InitFlags.directIOAllowMmap, 36), (InitFlags.passthrough, 37), (InitFlags.noExportSupport, 38),
            (InitFlags.hasResend, 39), (InitFlags.allowIdmap, 40), (InitFlags.overIOUring, 41),
            (InitFlags.requestTimeout, 42),
        ] as [(UInt64, UInt64)])
    func bit(flag: UInt64, bit: UInt64) { #expect(flag == 1 << bit) }

    @Test func highFlagsCountOnlyWithInitExtended() {
        var offer = InitIn()
        offer.flags = 1
        offer.flags2 = 2
        #expect(offer.allFlags == 1)
        offer.flags |= 1 << 30
        #expect(offer.allFlags == 1 | 1 << 30 | 2 << 32)
    }

    @Test func aReplySplitsItsFlags() {
        var reply = InitOut()
        reply.setFlags(InitFlags.initExtended | InitFlags.allowIdmap | 5)
        #expect(reply.flags == 1 << 30 | 5)
        #expect(reply.flags2 == 1 << 8)
    }
}
