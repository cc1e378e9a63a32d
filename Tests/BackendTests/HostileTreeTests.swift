// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostFS
import HostOS
import Synchronization
import Testing

/// T14: a tree that somebody else has filled with symbolic links, also while the guest walks it. Nothing follows them, whatever
/// the sandbox: what lies outside is neither seen nor touched.
@Suite struct HostileTreeTests {
    /// What links can lead to: an absolute path, one that climbs, the root by way of /proc, a loop, another link.
    private static func links(_ host: HostRig) -> [(name: String, target: String)] {
        [
            ("absolute", host.outside), ("file-absolute", host.outside + "/victim"), ("up", ".."),
            ("climbs", "../outside"), ("file-climbs", "../outside/victim"), ("proc", "/proc/self/root"),
            ("descriptor", "/proc/self/fd/0"), ("loop", "loop"), ("chain", "absolute"),
            ("inside", "directory"),
            ("nowhere", host.outside + "/new"),
        ]
    }

    private func fixture(_ policy: FileHandlePolicy) throws -> CatalogueFixture {
        let fixture = try CatalogueFixture(configure: { $0.inodeFileHandles = policy })
        let host = fixture.host
        try check(mkdir(host.outside + "/d", 0o777))
        try Files.replace(host.outside + "/victim", with: Array("secret".utf8))
        try check(setxattr(host.outside + "/victim", "user.x", "secret", 6, 0))
        for link in Self.links(host) { try check(symlink(link.target, host.path(link.name))) }
        return fixture
    }

    /// Everything outside the share, with its times of change.
    private func outside(_ fixture: CatalogueFixture) -> [String] {
        fixture.host.snapshot().filter { $0.hasPrefix(fixture.host.outside) }
    }

    private func send(_ fixture: CatalogueFixture, _ request: FuseRequest) throws -> FuseClient.Reply {
        try fixture.guest.receive(fixture.guest.submit(request))
    }

    /// With a link where a directory has to be, and where the object itself is.
    @Test(arguments: CatalogueEntry.all, [FileHandlePolicy.prefer, .never])
    func aLinkIsNoWay(entry: CatalogueEntry, policy: FileHandlePolicy) throws {
        let fixture = try fixture(policy)
        let before = outside(fixture)
        for link in Self.links(fixture.host) {
            let node = try fixture.guest.lookup(.root, link.name.utf8)
            #expect(node.attributes.mode & 0o170000 == 0o120000)
            var request = entry.request(fixture)
            request.header.nodeID = node.nodeID
            let reply = try send(fixture, request)
            if entry.names > 0 { #expect(reply.header.error == -ENOTDIR, "\(link.name)") }
            if entry.opcode == .getxattr { #expect(reply.header.error != 0) }
            if [.open, .opendir, .syncfs, .tmpfile].contains(entry.opcode) {
                #expect(reply.header.error != 0, "\(link.name)")
            }
            #expect(!String(decoding: reply.body, as: UTF8.self).contains("secret"))
        }
        #expect(outside(fixture) == before)
    }

    /// With the link's own name: it is what is found, made, moved and removed, and not what it leads to.
    @Test(arguments: [FileHandlePolicy.prefer, .never]) func aLinksNameIsTheLink(policy: FileHandlePolicy)
        throws
    {
        let fixture = try fixture(policy)
        let (guest, before) = (fixture.guest, outside(fixture))
        for link in Self.links(fixture.host) {
            let name = link.name.utf8
            #expect(throws: Errno.ELOOP) { try guest.create(.root, name, flags: Open.readWrite) }
            #expect(throws: Errno.ELOOP) { try guest.create(.root, name, flags: Open.write | Open.truncate) }
            #expect(throws: Errno.EEXIST) {
                try guest.create(.root, name, flags: Open.readWrite | Open.exclusive)
            }
            #expect(throws: Errno.EEXIST) { try guest.mkdir(.root, name) }
            #expect(throws: Errno.EEXIST) { try guest.mknod(.root, name, mode: S_IFREG | 0o644, rdev: 0) }
            #expect(throws: Errno.EEXIST) { try guest.symlink(.root, name, target: "x".utf8) }
            #expect(throws: Errno.EEXIST) { try guest.link(fixture.file, to: .root, name) }
            #expect(throws: Errno.ENOTDIR) { try guest.rmdir(.root, name) }
            let node = try guest.lookup(.root, name).node
            #expect(try guest.readlink(node) == Array(link.target.utf8))
            // A second name of the link, not of what it leads to.
            #expect(try guest.link(node, to: .root, "second".utf8).node == node)
            #expect(try fixture.host.target("second") == link.target)
            try guest.rename(.root, "second".utf8, to: .root, "third".utf8)
            try guest.unlink(.root, "third".utf8)
            if getuid() == 0 {
                _ = try guest.chown(node, uid: 77, gid: 77)
                #expect(try fixture.host.status(link.name).st_uid == 77)
            }
            var times = SetAttrIn()
            times.valid = SetAttrValid.mtime
            times.mtime = 1_000_000_000
            _ = try guest.setattr(node, times)
            #expect(try fixture.host.status(link.name).st_mtim.tv_sec == 1_000_000_000)
            try guest.unlink(.root, name)
            #expect(!fixture.host.exists(link.name))
        }
        #expect(outside(fixture) == before)
    }

    /// A listing with attributes says what the links are, not where they lead.
    @Test(arguments: [FileHandlePolicy.prefer, .never]) func listings(policy: FileHandlePolicy) throws {
        let fixture = try fixture(policy)
        let handle = try fixture.guest.opendir(.root).handle
        let records = try fixture.guest.readAll(.root, handle, plus: true)
        let names = Set(Self.links(fixture.host).map(\.name))
        let found = records.filter { names.contains(String(decoding: $0.name, as: UTF8.self)) }
        #expect(found.count == names.count)
        for record in found { #expect((record.entry?.attributes.mode ?? 0) & 0o170000 == 0o120000) }
    }

    /// The host changes what a name means again and again: a directory, a file, links out of the share, while the guest looks
    /// the name up and uses what it found.
    @Test(arguments: [FileHandlePolicy.prefer, .never]) func namesThatChangeTheirMeaning(
        policy: FileHandlePolicy
    )
        throws
    {
        let fixture = try fixture(policy)
        let (host, guest) = (fixture.host, fixture.guest)
        let before = outside(fixture)
        let stop = Atomic<Bool>(false)
        let (root, outsidePath) = (host.root, host.outside)
        let changer = try HostOS.Thread(name: "changer") {
            var round = 0
            while !stop.load(ordering: .relaxed) {
                let next = root + "/next"
                switch round % 4 {
                case 0: mkdir(next, 0o777)
                case 1: symlink(outsidePath, next)
                case 2: try? Files.replace(next, with: Array("inside".utf8))
                default: symlink(outsidePath + "/victim", next)
                }
                // Whichever it is, one of the two takes its place.
                if rename(next, root + "/name") != 0 {
                    rmdir(root + "/name")
                    unlink(root + "/name")
                    rename(next, root + "/name")
                }
                rmdir(next)
                unlink(next)
                round += 1
            }
        }
        defer {
            stop.store(true, ordering: .relaxed)
            changer.join()
        }
        var found = 0
        for round in 0..<1500 {
            guard let entry = try? guest.lookup(.root, "name".utf8), entry.nodeID != 0 else { continue }
            found += 1
            _ = try? guest.mkdir(entry.node, "made".utf8)
            _ = try? guest.rmdir(entry.node, "made".utf8)
            _ = try? guest.unlink(entry.node, "victim".utf8)
            if let inner = try? guest.lookup(entry.node, "victim".utf8) { #expect(inner.nodeID == 0) }
            if let opened = try? guest.open(entry.node, flags: Open.read) {
                let bytes = try? guest.read(entry.node, opened.handle, size: 64)
                // Empty: the guest's own, made below.
                #expect(bytes == nil || bytes == [] || bytes == Array("inside".utf8))
                try? guest.release(entry.node, opened.handle)
            }
            if round % 8 == 0, let made = try? guest.create(.root, "name".utf8, flags: Open.readWrite) {
                let bytes = try? guest.read(made.entry.node, made.open.handle, size: 64)
                #expect(bytes == nil || bytes == [] || bytes == Array("inside".utf8))
                try? guest.release(made.entry.node, made.open.handle)
            }
            _ = try? guest.chmod(entry.node, mode: 0o700)
            try? guest.setxattr(entry.node, "user.y".utf8, [1])
            try guest.forget(entry.node)
        }
        #expect(found > 0)
        #expect(outside(fixture) == before)
    }
}
