// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Bench

@Suite struct ScriptTests {
    @Test func namesAreUniqueAndSelectable() {
        let names = Catalogue.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(!names.contains { $0.contains(",") || $0.contains("/") || $0.isEmpty })
        #expect(!Catalogue.all.contains { $0.summary.isEmpty || $0.cycle.isEmpty })
        let (scripts, unknown) = Catalogue.select(["statfs", "lookup"])
        // In the order of the catalogue.
        #expect(scripts.map(\.name) == ["lookup", "statfs"] && unknown == nil)
        #expect(Catalogue.select(["lookup", "nonsense"]).unknown == "nonsense")
    }

    @Test func whatTheTestsCover() {
        #expect(
            Catalogue.all.map(\.name) == [
                "lookup", "lookup-miss", "open", "create", "mkdir", "rename", "symlink", "getattr", "setattr",
                "xattr", "statfs", "readdirplus", "read-4k", "write-4k", "read-1m", "write-1m", "git-status",
                "untar",
            ])
    }

    /// Requests of one operation when each READDIRPLUS takes two: all entries, then none.
    private func requests(_ script: Script) -> Int {
        var listed = 0
        return script.cycle.reduce(0) { sum, step in
            switch step {
            case .list(_, _, let entries):
                listed = entries
                return sum + 2
            case .forgetListed: return sum + listed
            default: return sum + 1
            }
        }
    }

    @Test(arguments: [
        ("lookup", 1), ("lookup-miss", 1), ("open", 2), ("create", 4), ("mkdir", 3), ("rename", 2),
        ("symlink", 4), ("getattr", 1), ("setattr", 1), ("xattr", 2), ("statfs", 1), ("readdirplus", 10_004),
        ("read-4k", 1), ("write-4k", 1), ("read-1m", 1), ("write-1m", 1),
        // .git; 3 files of it with 4; 16 directories; 400 files; 16 listings with 5; the lock with 5.
        ("git-status", 1 + 12 + 16 + 400 + 80 + 5),
        // The tree; 4 directories with 2 and, at the end, 2; 40 files with 5 and their pieces: 10 files in turn of 700, 2500,
        // 9000 and 30,000 bytes are 8 with one and 2 with three; 5 listings with 4; 40 files with 2; 5 directories with 2.
        ("untar", 2 + 16 + 40 * 5 + 4 * (8 + 2 * 3) + 20 + 80 + 10),
    ])
    func requestsOfAnOperation(name: String, expected: Int) throws {
        let script = try #require(Catalogue.select([name]).scripts.first)
        #expect(requests(script) == expected)
    }

    @Test func whatIsLookedUpIsForgotten() {
        // Per operation, of tests that make what they remove.
        for script in Catalogue.all where ["create", "mkdir", "symlink", "untar"].contains(script.name) {
            var known: [Int: Int] = [:]
            var listed = 0
            for step in script.cycle {
                switch step {
                case .create(_, _, let node, _), .mkdir(_, _, let node), .symlink(_, _, _, let node),
                    .lookup(_, _, let node):
                    known[node.index, default: 0] += 1
                case .list(_, _, let entries): listed += entries
                case .forget(let node, let count): known[node.index, default: 0] -= Int(count)
                default: break
                }
            }
            // Each FORGET of a listed entry counts the listing in.
            #expect(known.values.reduce(0, +) == -listed, "\(script.name)")
            #expect(known.values.allSatisfy { $0 == 0 || $0 == -1 }, "\(script.name)")
        }
    }

    @Test func sizesThatASessionAsksFor() throws {
        func script(_ name: String) throws -> Script { try #require(Catalogue.select([name]).scripts.first) }
        #expect(try script("read-4k").dataByteCount == 1 << 20)
        #expect(try script("getattr").dataByteCount == 0)
        #expect(try script("untar").dataByteCount == 10_240)
        #expect(try script("readdirplus").listedEntryCount == 10_000)
        #expect(try script("untar").listedEntryCount == 10)
    }
}
