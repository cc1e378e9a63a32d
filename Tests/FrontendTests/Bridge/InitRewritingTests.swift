// SPDX-License-Identifier: Apache-2.0
import FuseWire
import Testing

@testable import Frontend

@Suite struct InitRewritingTests {
    private let everything = UInt64.max

    private func offer(_ flags: UInt64) -> InitIn {
        var offer = InitIn()
        offer.major = 7
        offer.minor = 45
        offer.maxReadahead = 131_072
        offer.flags = UInt32(truncatingIfNeeded: flags)
        offer.flags2 = UInt32(truncatingIfNeeded: flags >> 32)
        return offer
    }

    private func choice(_ flags: UInt64) -> InitOut {
        var choice = InitOut()
        choice.major = 7
        choice.minor = 38
        choice.setFlags(flags)
        choice.maxWrite = 4 << 20
        choice.maxPages = 1020
        choice.maxReadahead = 65536
        choice.timeGranularity = 1
        choice.mapAlignment = 12
        choice.maxStackDepth = 1
        choice.requestTimeout = 5
        return choice
    }

    private static let impossible: [UInt64] = [
        InitFlags.passthrough, InitFlags.overIOUring, InitFlags.requestTimeout, InitFlags.mapAlignment,
        InitFlags.hasInodeDAX, InitFlags.submounts,
    ]

    @Test func theBackEndIsNotOfferedWhatItCannotDo() {
        let rewritten = InitRewriting.request(offer(everything))
        for flag in Self.impossible { #expect(rewritten.allFlags & flag == 0) }
        #expect(rewritten.allFlags | Self.impossible.reduce(0, |) == everything)
        #expect(rewritten.major == 7 && rewritten.minor == 45 && rewritten.maxReadahead == 131_072)
    }

    @Test func theKernelGetsNothingItDidNotOffer() {
        let offered = InitFlags.asyncRead | InitFlags.initExtended | InitFlags.allowIdmap
        let reply = InitRewriting.reply(choice(everything), to: offer(offered), dataByteCount: 1 << 20)
        #expect(reply.allFlags == offered)
        #expect(reply.mapAlignment == 0 && reply.maxStackDepth == 0 && reply.requestTimeout == 0)
        #expect(reply.minor == 38 && reply.maxReadahead == 65536 && reply.timeGranularity == 1)
    }

    /// Where the window is used it is ours: the kernel neither offers it nor hears of it.
    @Test func theWindowIsOurs() {
        let window = InitFlags.mapAlignment | InitFlags.hasInodeDAX
        let offered = offer(InitFlags.asyncRead | InitFlags.initExtended)
        let rewritten = InitRewriting.request(offered, withWindow: true)
        #expect(rewritten.allFlags == offered.allFlags | window)
        let reply = InitRewriting.reply(choice(everything), to: rewritten, dataByteCount: 1 << 20)
        #expect(reply.allFlags == offered.allFlags && reply.mapAlignment == 0)
        let old = InitRewriting.request(offer(InitFlags.asyncRead), withWindow: true)
        #expect(old.allFlags == InitFlags.asyncRead, "one of the flags is in the second half")
    }

    @Test func flags2MeanNothingUnlessBothSay() {
        let high = InitFlags.createSupplementaryGroup
        let old = InitRewriting.reply(
            choice(high | InitFlags.initExtended), to: offer(high), dataByteCount: 1 << 20)
        #expect(old.flags == 0 && old.flags2 == 0, "the kernel did not say that its flags2 are meant")
        let new = InitRewriting.reply(
            choice(high), to: offer(high | InitFlags.initExtended), dataByteCount: 1 << 20)
        #expect(new.flags2 == 0, "the back-end did not")
    }

    @Test func sizesFitTheBuffers() {
        let reply = InitRewriting.reply(choice(0), to: offer(0), dataByteCount: 1 << 20)
        #expect(reply.maxWrite == 1 << 20 && reply.maxPages == 256)
        var small = choice(0)
        small.maxWrite = 4096
        small.maxPages = 1
        let kept = InitRewriting.reply(small, to: offer(0), dataByteCount: 1 << 20)
        #expect(kept.maxWrite == 4096 && kept.maxPages == 1)
    }

    @Test func theKernelsQueuesAreNotLeftEmpty() {
        let reply = InitRewriting.reply(choice(0), to: offer(0), dataByteCount: 1 << 20)
        #expect(reply.maxBackground == 64 && reply.congestionThreshold == 48)
        var large = choice(0)
        large.maxBackground = 65535
        large.congestionThreshold = 65535
        let kept = InitRewriting.reply(large, to: offer(0), dataByteCount: 1 << 20)
        #expect(kept.maxBackground == 65535 && kept.congestionThreshold == 65535)
    }
}
