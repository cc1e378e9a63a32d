// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
import Testing

@testable import HostFS

@Suite struct NamesToldTests {
    private func key(_ name: String, in parent: NodeID = .root) -> NamesTold.Key {
        name.withCString { NamesTold.Key(parent, $0) }
    }

    @Test func theNewestOfManyNamesAreRemembered() throws {
        let names = try NamesTold()
        #expect(names.find(key("a")) == nil)
        for number in 1...20_000 { names.note(key("\(number)"), NodeID(rawValue: UInt64(number) << 32 | 5)) }
        // No name is ever taken for another; one that shares its place with a newer one is forgotten.
        var remembered = 0
        for number in 1...20_000 {
            guard let node = names.find(key("\(number)")) else { continue }
            #expect(node.rawValue == UInt64(number) << 32 | 5)
            remembered += 1
        }
        #expect((3000...4096).contains(remembered))
        #expect(names.find(key("20000")) != nil && names.find(key("20000", in: NodeID(rawValue: 2))) == nil)
        names.note(key("20000"), nil)
        #expect(names.find(key("20000")) == nil)
    }

    @Test func operationsKeepThemTrue() throws {
        let test = try TestShare()
        func told(_ name: String) -> UInt64 { test.share.namesTold.find(key(name))?.rawValue ?? 0 }
        let directory = try test.mkdir("d").nodeID
        let file = try test.create("f", O_RDWR).entry.nodeID
        let link = try test.symlink("l", to: "x").nodeID
        test.write("h")
        let found = try test.lookup("h").nodeID
        #expect(told("d") == directory && told("f") == file && told("l") == link && told("h") == found)
        _ = try test.link(NodeID(rawValue: file), "g")
        #expect(told("g") == file)
        try test.rename("f", "h")
        #expect(told("f") == 0 && told("h") == file)
        try test.rename("l", "d", flags: UInt32(RENAME_EXCHANGE))
        #expect(told("d") == link && told("l") == directory)
        try test.request { fs in
            try withName("l") { try fs.rmdir(.root, parent: .root, name: $0) }
            try withName("h") { try fs.unlink(.root, parent: .root, name: $0) }
        }
        #expect(told("l") == 0 && told("h") == 0)
    }

    /// A name that is out of date is no hint: the rename does what it would without.
    @Test func whatTheHostDidMeanwhileCostsNothingButCalls() throws {
        let test = try TestShare()
        for name in ["a", "b", "c"] { test.write(name, name) }
        let gone = try test.node("b")
        unlink(test.host("b"))
        try test.rename("a", "b")
        #expect(test.contents("b") == Array("a".utf8))
        test.write("d", "d")
        let replaced = try test.node("c")
        Glibc.rename(test.host("d"), test.host("c"))
        try test.rename("b", "c")
        #expect(test.contents("c") == Array("a".utf8))
        test.forget(gone)
        test.forget(replaced)
        // A name that the guest was never told of, with something behind it.
        test.write("e", "e")
        try test.rename("c", "e")
        #expect(test.contents("e") == Array("a".utf8))
    }
}
