// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import Testing

@testable import HostFS

/// How a file that the guest accesses as memory is opened, and what is read ahead of it.
@Suite struct MappedFileTests {
    private static let direct = OpenOutFlags.directIO | OpenOutFlags.parallelDirectWrites

    private func share(_ cache: CachePolicy = .auto) throws -> TestShare {
        let test = try TestShare(window: StrictVMM(), mappable: SameFiles()) {
            $0.cache = cache
            $0.dax = DAXOptions()
        }
        for (name, size, mode) in [
            ("large", 1 << 20, 0o644), ("small", 5, 0o644), ("program", 1 << 20, 0o755),
        ] as [(String, Int, mode_t)] {
            test.write(name, mode: mode)
            truncate(test.host(name), size)
        }
        return test
    }

    private func flags(_ test: TestShare, _ name: String) throws -> UInt32 {
        try test.openNode(try test.node(name), O_RDONLY).openFlags & ~OpenOutFlags.noFlush
    }

    /// Linux 7.3 warns of the pages of a mapped file that it finds when it drops what it has cached at an open: it is told to keep them.
    @Test(arguments: [
        (CachePolicy.never, direct), (.metadata, direct), (.auto, 0), (.always, OpenOutFlags.keepCache),
    ])
    func whatIsMappedKeepsItsPages(_ cache: CachePolicy, _ otherwise: UInt32) throws {
        let test = try share(cache)
        #expect(try test.initialize() & InitFlags.hasInodeDAX != 0)
        #expect(try flags(test, "large") == otherwise | OpenOutFlags.keepCache)
        // They are read by requests.
        #expect(try flags(test, "small") == otherwise)
        #expect(try flags(test, "program") == otherwise)
    }

    /// A guest with dax=always maps every file.
    @Test func alwaysIsEveryFile() throws {
        let test = try share()
        #expect(try test.initialize(.max & ~InitFlags.hasInodeDAX) & InitFlags.mapAlignment != 0)
        for name in ["large", "small", "program"] {
            #expect(try flags(test, name) == OpenOutFlags.keepCache, "\(name)")
        }
        #expect(
            try test.create("new", O_RDWR).open.openFlags & ~OpenOutFlags.noFlush == OpenOutFlags.keepCache)
    }

    @Test func neverIsNoFile() throws {
        let test = try share()
        #expect(try test.initialize(.max & ~InitFlags.mapAlignment) & InitFlags.hasInodeDAX == 0)
        for name in ["large", "small", "program"] { #expect(try flags(test, name) == 0, "\(name)") }
    }

    /// How many pages of each chunk of a file are in the page cache.
    private func cached(_ path: String, chunks: Int) throws -> [Int] {
        let file = OwnedDescriptor(adopting: try systemCall { open(path, O_RDONLY | O_CLOEXEC) })
        let byteCount = chunks * Int(chunk)
        let base = try #require(mmap(nil, byteCount, PROT_READ, MAP_SHARED, file.rawValue, 0))
        try #require(base != MAP_FAILED)
        defer { munmap(base, byteCount) }
        var pages = [UInt8](repeating: 0, count: byteCount / 4096)
        _ = try systemCall { mincore(base, byteCount, &pages) }
        return (0..<chunks).map { number in
            pages[number * 512..<(number + 1) * 512].count { $0 & 1 != 0 }
        }
    }

    /// The next chunk of who goes through a file in order; nothing for who does not.
    @Test func theNextChunkIsReadAhead() throws {
        let bench = try Bench()
        let (status, other) = (try bench.make("a", 6 * chunk), try bench.make("b", 6 * chunk))
        let (path, otherPath) = (bench.directory.path + "/a", bench.directory.path + "/b")
        try bench.setUp(status, "a", at: 0)
        try bench.setUp(status, "a", fileOffset: 3 * chunk, at: chunk)
        try bench.setUp(other, "b", fileOffset: chunk, at: 2 * chunk)
        #expect(try cached(path, chunks: 6) == [0, 0, 0, 0, 0, 0])
        try bench.setUp(status, "a", fileOffset: chunk, at: 3 * chunk)
        let deadline = Deadline(milliseconds: 20_000)
        while try cached(path, chunks: 6)[2] < 512, !deadline.hasPassed {
            _ = waitReadable(-1, timeoutMilliseconds: 10)
        }
        #expect(try cached(path, chunks: 6) == [0, 0, 512, 0, 0, 0])
        #expect(try cached(otherPath, chunks: 6) == [0, 0, 0, 0, 0, 0])
    }
}
