// SPDX-License-Identifier: Apache-2.0
import HostFS
import Testing

@testable import virtiofsd

/// Options that translate ids and names.
@Suite struct MapOptionTests {
    private func ids(_ rules: String) throws -> IdMap { try IdMap(parsing: Array(rules.utf8)) }

    @Test func withoutThemEverythingIsTheHosts() throws {
        let share = try options(with: "--sandbox=none").share
        #expect(share.users.isIdentity && share.groups.isIdentity)
    }

    /// Argument lists that are in use.
    @Test func eachOptionIsOneRule() throws {
        let read = try options(
            with: "--translate-uid", "host:1000:500:1", "--translate-uid=squash-guest:0:1000:4294967295",
            "--translate-gid=map:0:7:1", "--translate-gid", "forbid-guest:1:9")
        #expect(try read.share.users == ids("host:1000:500:1\nsquash-guest:0:1000:4294967295"))
        #expect(try read.share.groups == ids("map:0:7:1\nforbid-guest:1:9"))
    }

    @Test(arguments: [
        (
            ["--translate-uid", "map:0:1"],
            "--translate-uid map:0:1: it has 3 fields; write map:GUEST-ID:HOST-ID:COUNT"
        ),
        (
            ["--translate-gid=forbid-guest:0"],
            "--translate-gid forbid-guest:0: it has 2 fields; write forbid-guest:GUEST-ID:COUNT"
        ),
        (
            ["--translate-uid=guest:0:5:10", "--translate-uid=map:9:0:1"],
            "--translate-uid map:9:0:1: it overlaps guest:0:5:10; give each id one rule for each direction"
        ),
        (
            ["--translate-gid", ":0:1:2:"],
            "--translate-gid :0:1:2:: no such kind of rule; begin with guest, host, squash-guest, squash-host, "
                + "forbid-guest, map"
        ),
    ]) func whatIsWrongIsSaid(words: [String], refused: String) {
        #expect(
            refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words) == "cannot use \(refused)")
    }

    @Test(arguments: [
        ["--xattrmap", ":map::user.virtiofs.:"], ["-o", "xattrmap=:map::user.virtiofs.:"],
        ["--xattrmap=:ok:all:::", "--xattrmap=:map::user.virtiofs.:"],
        ["--xattrmap=:map::user.virtiofs.:", "-oxattr,xattrmap=:map::user.virtiofs.:"],
    ]) func aMapOfNamesImpliesAttributes(words: [String]) throws {
        let share = try options(["--shared-dir=/s", "--socket-path=/p"] + words).share
        #expect(try share.xattr && share.xattrMap == XattrMap(parsing: Array(":map::user.virtiofs.:".utf8)))
    }

    @Test(arguments: [
        (
            ["--xattrmap", ":map::user."],
            "cannot use a rule of --xattrmap: :map::user.: it does not end; write :map:KEY:PREPEND:"
        ),
        (
            ["-o", "xattrmap=:prefix:all::user.:"],
            "cannot use a rule of --xattrmap: :prefix:all::user.:: there are names that no rule matches; "
                + "end with :ok:all::: to let them through, or :bad:all::: to hide them"
        ),
        (
            ["--xattrmap", ":ok:all:::", "-o", "no_xattr"],
            "cannot combine --xattrmap :ok:all::: and -o no_xattr: they contradict each other; leave one of them out"
        ),
        (
            ["--xattrmap", ":ok:all:::", "-o", "xattrmap=:bad:all:::"],
            "cannot combine --xattrmap :ok:all::: and -o xattrmap=:bad:all:::: they contradict each other; "
                + "leave one of them out"
        ),
    ]) func aMapThatCannotBe(words: [String], said: String) {
        #expect(refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + words) == said)
    }

    /// Users and groups are apart.
    @Test func aUserAndAGroupMayHaveOneNumber() throws {
        _ = try options(with: "--translate-uid=map:0:5:1", "--translate-gid=map:0:5:1")
    }

    /// Ids in ACLs are translated too, so the options go together.
    @Test func translationAndACLsGoTogether() throws {
        let read = try options(with: "--translate-uid=map:0:5:1", "--posix-acl")
        #expect(read.share.posixACL == .always && !read.share.users.isIdentity)
    }
}
