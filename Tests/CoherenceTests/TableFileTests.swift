// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

@testable import Coherence

@Suite struct TableFileTests {
    @Test func layoutIsThatOfTheSpecification() throws {
        let rig = TableRig()
        let table = try rig.open()
        let slot = table.slot(of: key(7))
        table.bump(slot, .attributes)
        table.bump(slot, .both)
        let bytes = try Files.read(rig.path)
        #expect(bytes.count == 2 * TableRig.unit + 4096)
        func word(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * $1) }
        }
        #expect(Array(bytes[0..<8]) == Array("virtVers".utf8))
        #expect(word(8) == 32 << 32 | 1)  // slot size, version
        #expect(word(16) == 2 << 20)
        #expect(word(24) == 2 << 20)
        #expect(word(32) == 1 << 32 | 65152)  // one opening, slots
        #expect(word(64) == 1)  // epoch
        #expect(word(12288 + 32 * Int(slot)) == 2)
        #expect(word(12288 + 32 * Int(slot) + 8) == 1)
        #expect(Array(bytes[2 << 20..<2 << 20 + 8]) == Array("virtJrnl".utf8))
        #expect(word(2 << 20 + 8) == 384 << 32 | 1)
        #expect(word(2 << 20 + 16) == 5450)
        #expect((word(4 << 20), word(4 << 20 + 8)) != (0, 0))  // the key
        var status = stat()
        #expect(stat(rig.path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func allWhoOpenItFindTheSameSlots() throws {
        let rig = TableRig()
        let (one, two) = (try rig.open(), try rig.open())
        for number in 0..<100 as Range<UInt64> {
            #expect(one.slot(of: key(number)) == two.slot(of: key(number)))
        }
        one.bump(5, .content)
        #expect(two.contentVersion(5) == 1)
        #expect(two.attributesVersion(5) == 0)
        #expect((one.origin, two.origin) == (1, 2))
    }

    @Test func anotherTableHasAnotherKey() throws {
        let (one, two) = (try TableRig().open(), try TableRig().open())
        #expect((0..<20 as Range<UInt64>).contains { one.slot(of: key($0)) != two.slot(of: key($0)) })
    }

    @Test(arguments: [(1 << 20, 2 << 20), (2 << 20, 0), (-(2 << 20), 2 << 20), (2 << 41, 2 << 20)])
    func oddSizesAreRefused(table: Int, journal: Int) throws {
        let error = try #require(throws: StartupError.self) {
            try TableRig().open(table: table, journal: journal)
        }
        #expect(error.description.contains("multiple of 2 MiB"))
    }

    @Test func othersSizesAndOtherFilesAreRefusedAndLeftAlone() throws {
        let rig = TableRig()
        do {
            let table = try rig.open()
            table.bump(1, .both)
        }
        let error = try #require(throws: StartupError.self) { try rig.open(table: 4 << 20) }
        #expect(error.description.contains("other sizes"))
        #expect(try rig.open().attributesVersion(1) == 1)

        let other = TableRig()
        try Files.replace(other.path, with: Array("a letter to my aunt".utf8))
        #expect(throws: StartupError.self) { try other.open() }
        #expect(try Files.text(other.path) == "a letter to my aunt")
    }

    @Test(arguments: [0, 4, 4096, 6 << 20]) func emptyFilesAreNobodysTable(size: Int) throws {
        let rig = TableRig()
        try Files.replace(rig.path, with: [UInt8](repeating: 0, count: size))
        #expect(throws: StartupError.self) { try rig.open() }
        #expect(try Files.read(rig.path) == [UInt8](repeating: 0, count: size))
    }

    @Test func sizesAreThoseOfWhatIsThere() throws {
        let rig = TableRig()
        #expect(throws: StartupError.self) { try VersionTable(existing: rig.path) }
        _ = try rig.open(table: 6 << 20, journal: 4 << 20)
        for table in [try VersionTable(path: rig.path), try VersionTable(existing: rig.path)] {
            #expect((table.tableByteCount, table.journalByteCount) == (6 << 20, 4 << 20))
        }
        #expect(try Files.names(in: rig.folder.path) == ["table"])
    }

    @Test func whoeverComesFirstMakesIt() throws {
        let rig = TableRig()
        let slots = Mutex<Set<UInt32>>([])
        let threads = try (0..<8).map { _ in
            try Thread(name: "opener") {
                guard let table = try? rig.open() else { return }
                slots.withLock { _ = $0.insert(table.slot(of: key(7))) }
            }
        }
        for thread in threads { thread.join() }
        #expect(slots.withLock { $0.count } == 1)
        #expect(try rig.open().origin == 9)
    }

    @Test func linksAreNotFollowed() throws {
        let rig = TableRig()
        _ = symlink("/etc/passwd", rig.path)
        #expect(throws: StartupError.self) { try rig.open() }
    }
}
