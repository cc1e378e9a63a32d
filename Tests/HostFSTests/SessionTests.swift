// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct SessionTests {
    private let base =
        InitFlags.autoInvalidateData | InitFlags.allowIdmap | InitFlags.createSupplementaryGroup
        | InitFlags.atomicTruncate

    @Test func theDefaults() throws {
        let test = try TestShare()
        let expected =
            base | InitFlags.doReaddirplus | InitFlags.readdirplusAuto | InitFlags.cacheSymlinks
            | InitFlags.handleKillPrivV2 | InitFlags.submounts
        #expect(try test.initialize() == expected)
        #expect(test.fs.isNegotiated(InitFlags.submounts))
    }

    @Test func eachOptionHasItsFlags() throws {
        let acl = InitFlags.posixACL | InitFlags.dontMask | InitFlags.setxattrExtended
        let cases: [(UInt64, (inout ShareOptions) -> Void)] = [
            (InitFlags.writebackCache, { $0.writeback = true }),
            (InitFlags.directIOAllowMmap, { $0.allowMmap = true }),
            (InitFlags.posixLocks, { $0.posixLock = true }), (InitFlags.flockLocks, { $0.flock = true }),
            (acl, { $0.posixACL = .auto }), (InitFlags.securityContext, { $0.securityLabel = .always }),
        ]
        let plain = try TestShare().initialize()
        for (flag, change) in cases { #expect(try TestShare(change).initialize() == plain | flag) }
        let off: [(UInt64, (inout ShareOptions) -> Void)] = [
            (InitFlags.submounts, { $0.announceSubmounts = false }),
            (InitFlags.handleKillPrivV2, { $0.killprivV2 = false }),
            (InitFlags.doReaddirplus | InitFlags.readdirplusAuto, { $0.readdirplus = false }),
            (
                InitFlags.doReaddirplus | InitFlags.readdirplusAuto | InitFlags.cacheSymlinks,
                { $0.cache = .never }
            ),
        ]
        for (flag, change) in off { #expect(try TestShare(change).initialize() == plain & ~flag) }
    }

    @Test func anExclusiveShareIsKeptForEver() throws {
        let test = try TestShare {
            $0.cache = .always
            $0.exclusive = true
        }
        let changed =
            InitFlags.autoInvalidateData | InitFlags.explicitInvalidateData | InitFlags.readdirplusAuto
            | InitFlags.atomicTruncate | InitFlags.noOpenSupport | InitFlags.noOpendirSupport
        let always = try TestShare { $0.cache = .always }.initialize()
        let agreed = try test.initialize()
        #expect(agreed ^ always == changed)
        #expect(
            agreed & changed
                == InitFlags.explicitInvalidateData | InitFlags.noOpenSupport | InitFlags.noOpendirSupport)
        test.write("file")
        let entry = try test.lookup("file")
        #expect(entry.entryValid == Timeout.year.seconds && entry.attrValid == Timeout.year.seconds)
        #expect(try test.lookup("none").entryValid == Timeout.year.seconds)
        // A guest that opens files by asking truncates by it too.
        #expect(try test.initialize(.max & ~InitFlags.noOpenSupport) & InitFlags.atomicTruncate != 0)
    }

    @Test func nothingThatWasNotOfferedIsTaken() throws {
        let test = try TestShare { $0.posixACL = .auto }
        #expect(try test.initialize(InitFlags.submounts) == InitFlags.submounts)
        #expect(try test.initialize(0) == 0)
        // ACLs without DONT_MASK are no ACLs.
        #expect(try test.initialize(InitFlags.posixACL | InitFlags.setxattrExtended) == 0)
    }

    @Test func whatIsDemandedMustBeOffered() throws {
        let acl = try TestShare { $0.posixACL = .always }
        #expect(throws: Errno.EPROTO) { try acl.initialize(.max & ~InitFlags.dontMask) }
        #expect(try acl.initialize() & InitFlags.posixACL != 0)
        let label = try TestShare { $0.securityLabel = .always }
        #expect(throws: Errno.EPROTO) { try label.initialize(.max & ~InitFlags.securityContext) }
    }

    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func aNewSessionKnowsNothingOfTheOld(policy: FileHandlePolicy) throws {
        let test = try TestShare { $0.inodeFileHandles = policy }
        test.write("file")
        for end in ["init", "destroy", "disconnect"] {
            _ = try test.initialize()
            let node = try test.node("file")
            let handle = try test.request { try $0.opendir(.root, nodeID: .root, OpenIn()).handle }
            switch end {
            case "init": _ = try test.initialize()
            case "destroy": test.request { $0.destroy() }
            default: test.share.disconnect()
            }
            #expect(test.share.knownInodes == 1)
            #expect(test.share.guestDescriptors == 0)
            #expect(test.error { try $0.getattr(.root, nodeID: node, handle: nil) } == .ESTALE)
            #expect(
                test.error { try $0.getattr(.root, nodeID: .root, handle: HandleID(rawValue: handle)) }
                    == .EBADF)
            #expect(test.error { try $0.getattr(.root, nodeID: .root, handle: nil) } == nil)
        }
        #expect(test.share.inodes.slots.usedSlots.count == 2)  // slots are used again
    }
}
