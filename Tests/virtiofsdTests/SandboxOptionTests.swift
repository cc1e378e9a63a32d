// SPDX-License-Identifier: Apache-2.0
import Sandbox
import Testing

@testable import virtiofsd

/// `--sandbox`, `--uid-map` and `--gid-map`, which mean something else to root than to other users.
@Suite struct SandboxOptionTests {
    private func read(_ words: String..., user: DaemonUser) throws -> DaemonOptions.Sandbox {
        try options(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words, user: user).sandbox
    }

    private func refused(_ words: String..., user: DaemonUser) -> String? {
        refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words, user: user)
    }

    @Test func theDefaultIsTheStrongest() throws {
        #expect(try read(user: .root) == .namespace(user: nil))
        #expect(try read("--sandbox=namespace", user: .root) == .namespace(user: nil))
        #expect(try read("-o", "sandbox=chroot", user: .root) == .chroot)
        #expect(try read("--sandbox", "none", user: .ordinary) == DaemonOptions.Sandbox.none)
    }

    @Test func anOrdinaryUserIsItselfInItsNamespace() throws {
        guard case .namespace(let user?) = try read(user: .ordinary) else {
            Issue.record("no user namespace")
            return
        }
        #expect(user.uidMap == [IDMap(inside: 1000, outside: 1000, count: 1)])
        #expect(user.gidMap == [IDMap(inside: 100, outside: 100, count: 1)])
    }

    @Test func mapsAddUp() throws {
        let sandbox = try read(
            "--uid-map=:0:1000:1:", "--uid-map", "/1/100000/65536/", "--gid-map=:0:100:1:", user: .ordinary)
        guard case .namespace(let user?) = sandbox else {
            Issue.record("no user namespace")
            return
        }
        #expect(
            user.uidMap == [
                IDMap(inside: 0, outside: 1000, count: 1), IDMap(inside: 1, outside: 100000, count: 65536),
            ])
        #expect(user.gidMap == [IDMap(inside: 0, outside: 100, count: 1)])
    }

    @Test func whatHasNoMeaningIsRefused() {
        let elsewhere = "leave it out; --translate-uid and --translate-gid map ids without one"
        #expect(
            refused("--uid-map=:0:1000:1:", user: .root)
                == "cannot use --uid-map :0:1000:1:: root's daemon has no user namespace; \(elsewhere)")
        #expect(
            refused("--gid-map=:0:100:1:", "--sandbox=none", user: .ordinary)
                == "cannot use --gid-map :0:100:1:: only --sandbox namespace has a user namespace; \(elsewhere)"
        )
        #expect(
            refused("--sandbox=chroot", user: .ordinary)
                == "cannot use --sandbox chroot: it takes root; an ordinary user can have --sandbox namespace"
        )
        #expect(
            refused("--uid-map=:5:100000:10:", user: .ordinary)
                == "cannot use --uid-map: neither id 0 nor the daemon's own is in the map; add a map that begins "
                + "with :0: or one that reaches 1000")
    }
}
