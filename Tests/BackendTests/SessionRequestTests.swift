// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Testing

/// INIT, DESTROY and what comes before, between and after.
@Suite struct SessionRequestTests {
    private func connect(_ host: HostRig) throws -> FuseClient {
        FuseClient(try host.rig.connect(host.setup.options))
    }

    /// What guests of several ages send; the reply is always in our version, 64 bytes, and only has what was offered.
    @Test(arguments: [27, 31, 36, 38, 45] as [UInt32]) func guestsOfEveryAge(minor: UInt32) throws {
        let host = try HostRig()
        try host.write("file", "12345")
        let guest = try connect(host)
        var offered = FuseClient.linuxFlags
        if minor < 36 { offered &= 0x3fff_ffff }
        if minor < 38 { offered &= ~InitFlags.createSupplementaryGroup }
        if minor < 28 { offered &= ~(InitFlags.maxPages | InitFlags.cacheSymlinks) }
        let reply = try guest.initialize(minor: minor, flags: offered)
        #expect(reply.major == 7 && reply.minor == 45)
        #expect(guest.agreedFlags & ~offered == 0)
        #expect(reply.maxWrite >= 1 << 20)
        #expect(reply.timeGranularity == 1)
        #expect(reply.maxBackground >= 64)
        #expect(reply.maxReadahead == 131072)
        #expect((reply.maxPages >= 256) == (minor >= 28))
        let file = try guest.lookup(.root, "file".utf8)
        let open = try guest.open(file.node, flags: Open.read)
        #expect(try guest.read(file.node, open.handle, size: 10) == Array("12345".utf8))
        try guest.release(file.node, open.handle)
        let handle = try guest.opendir(.root).handle
        #expect(try guest.readAll(.root, handle, plus: true).count == 3)
    }

    @Test func theUsualAgreement() throws {
        let host = try HostRig()
        let guest = try host.guest()
        let expected =
            InitFlags.asyncRead | InitFlags.atomicTruncate | InitFlags.bigWrites
            | InitFlags.autoInvalidateData
            | InitFlags.doReaddirplus | InitFlags.readdirplusAuto | InitFlags.asyncDirectIO
            | InitFlags.parallelDirectoryOps | InitFlags.maxPages | InitFlags.initExtended
            | InitFlags.handleKillPrivV2
        #expect(guest.agreedFlags & expected == expected)
        let never =
            InitFlags.passthrough | InitFlags.overIOUring | InitFlags.hasResend | InitFlags.requestTimeout
            | InitFlags.spliceRead | InitFlags.abortError | InitFlags.posixLocks | InitFlags.flockLocks
            | InitFlags.writebackCache | InitFlags.posixACL | InitFlags.securityContext
        #expect(guest.agreedFlags & never == 0, "not wanted, or not without an option")
    }

    /// `flags2` counts only with INIT_EXT.
    @Test func highFlagsNeedInitExtended() throws {
        let host = try HostRig()
        let guest = try connect(host)
        _ = try guest.initialize(flags: FuseClient.linuxFlags & ~InitFlags.initExtended)
        #expect(guest.agreedFlags >> 32 == 0)
    }

    @Test func versionsThatAreNotSpoken() throws {
        let host = try HostRig()
        let guest = try connect(host)
        #expect(throws: Errno.EPROTO) { try guest.initialize(minor: 26) }
        #expect(throws: Errno.EIO) { try guest.getattr(.root) }
        var request = FuseRequest(.initialize, NodeID(rawValue: 0))
        var argument = InitIn()
        (argument.major, argument.minor) = (6, 99)
        request.append(argument)
        #expect(throws: Errno.EPROTO) { try guest.call(request, returning: InitOut.self) }
        // A later major gets ours, and asks again.
        request.arguments = []
        argument.major = 8
        request.append(argument)
        let reply = try guest.call(request, returning: InitOut.self)
        #expect(reply.major == 7)
        #expect(throws: Errno.EIO) { try guest.getattr(.root) }
        // More than we know of is no reason to refuse.
        request.arguments = []
        (argument.major, argument.minor) = (7, 99)
        request.append(argument)
        request.arguments += [UInt8](repeating: 0xff, count: 64)
        #expect(try guest.call(request, returning: InitOut.self).minor == 45)
        _ = try guest.getattr(.root)
    }

    @Test func nothingIsServedBeforeInit() throws {
        let host = try HostRig()
        let before = host.snapshot()
        let guest = try connect(host)
        #expect(throws: Errno.EIO) { try guest.lookup(.root, "x".utf8) }
        #expect(throws: Errno.EIO) { try guest.mkdir(.root, "x".utf8) }
        #expect(throws: Errno.EIO) { try guest.statfs() }
        #expect(throws: Errno.EIO) { try guest.destroy() }
        try guest.forget(.root)
        #expect(host.snapshot() == before)
        _ = try guest.initialize()
        _ = try guest.getattr(.root)
    }

    /// A second INIT is a new guest: it knows nothing of what the first one knew.
    @Test func aSecondInitBeginsAnew() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.read).handle
        _ = try guest.initialize()
        #expect(throws: Errno.ESTALE) { try guest.getattr(file.node) }
        #expect(throws: Errno.EBADF) { try guest.release(file.node, handle) }
        let again = try guest.lookup(.root, "file".utf8)
        _ = try guest.getattr(again.node)
    }

    @Test func destroyEndsTheSession() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        let handle = try guest.open(file.node, flags: Open.read).handle
        try guest.destroy()
        #expect(throws: Errno.EIO) { try guest.getattr(.root) }
        #expect(throws: Errno.EIO) { try guest.read(file.node, handle, size: 1) }
        _ = try guest.initialize()
        #expect(throws: Errno.ESTALE) { try guest.getattr(file.node) }
        #expect(throws: Errno.EBADF) { try guest.release(file.node, handle) }
    }

    /// After a VMM has gone, the next one's guest knows nothing, and no descriptor is left of the first.
    @Test func theNextGuestFindsNothingOfTheLast() throws {
        let host = try HostRig()
        try host.write("file", "x")
        var old: EntryOut
        var handle: UInt64
        do {
            let guest = try host.guest()
            old = try guest.lookup(.root, "file".utf8)
            handle = try guest.open(old.node, flags: Open.read).handle
            for index in 0..<50 { _ = try guest.create(.root, "f\(index)".utf8, flags: Open.readWrite) }
        }
        let guest = try host.guest()
        #expect(throws: Errno.ESTALE) { try guest.getattr(old.node) }
        #expect(throws: Errno.EBADF) { try guest.release(old.node, handle) }
        #expect(host.share.knownInodes == 1)
        #expect(host.share.guestDescriptors == 0)
    }

    @Test func resetIsANewGuestToo() throws {
        let host = try HostRig()
        try host.write("file", "x")
        let guest = try host.guest()
        let file = try guest.lookup(.root, "file".utf8)
        _ = try guest.open(file.node, flags: Open.read)
        try guest.frontend.reset()
        #expect(host.share.knownInodes == 1)
        #expect(host.share.guestDescriptors == 0)
        _ = try guest.initialize()
        #expect(throws: Errno.ESTALE) { try guest.getattr(file.node) }
    }
}
