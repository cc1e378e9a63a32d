// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The file that holds a table, opened or made: its sizes, its key, and its locks.
struct TableFile: ~Copyable {
    let descriptor: OwnedDescriptor
    let tableByteCount: Int
    let journalByteCount: Int
    let hash: SlotHash

    /// Sizes in bytes, multiples of 2 MiB; nil: of what is there, or the defaults.
    struct Wanted {
        var table: Int?
        var journal: Int?
    }

    /// Opens the table at `path` for writing, or makes one there. Many may do so at the same time.
    ///
    /// - Throws: `StartupError` when there is something else, or a table of other sizes. It is left as it is.
    static func open(_ path: String, _ wanted: Wanted) throws(StartupError) -> TableFile {
        for (size, name) in [(wanted.table, "table"), (wanted.journal, "journal")] {
            if let size, !isSize(size) {
                throw error(
                    path, "a \(name) of \(size) bytes is none",
                    "its size is a multiple of 2 MiB, at most 1 TiB")
            }
        }
        do throws(Errno) {
            while true {
                do throws(Errno) { return try openMade(path, wanted) } catch {
                    guard error == .ENOENT else { throw error }
                }
                // Whoever comes first makes it, the others open that.
                do throws(Errno) { try make(path, wanted) } catch {
                    guard error == .EEXIST else { throw error }
                }
            }
        } catch {
            let hint =
                error == .EINVAL
                ? "it is no table, or has other sizes: leave --version-table-size and --journal-size out, or remove "
                    + "it if no daemon uses it"
                : "give a path in a directory where a file can be made, such as /dev/shm"
            throw Self.error(path, describe(error), hint)
        }
    }

    /// Opens a table that a daemon has made, whatever its sizes.
    static func open(existing path: String) throws(StartupError) -> TableFile {
        do throws(Errno) { return try openMade(path, Wanted()) } catch {
            throw Self.error(
                path, describe(error),
                "give the path that the daemon of this directory was given with --version-table")
        }
    }

    private static func isSize(_ size: Int) -> Bool {
        size > 0 && size % TableLayout.unit == 0 && size <= 1 << 40
    }

    private static func error(_ path: String, _ reason: String, _ hint: String) -> StartupError {
        StartupError(operation: "open the version table", subject: path, reason: reason, hint: hint)
    }

    private static func openMade(_ path: String, _ wanted: Wanted) throws(Errno) -> TableFile {
        let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW
        let file = OwnedDescriptor(adopting: try systemCall { unsafe Glibc.open(path, flags) })
        guard try isRegularFile(file.rawValue) else { throw .EINVAL }
        var sizes: (UInt64, UInt64) = (0, 0)
        let (number, offset) = (file.rawValue, TableLayout.Header.tableSize)
        guard try systemCall({ unsafe pread(number, &sizes, 16, offset) }) == 16,
            let table = Int(exactly: sizes.0), let journal = Int(exactly: sizes.1),
            isSize(table), isSize(journal), wanted.table ?? table == table,
            wanted.journal ?? journal == journal
        else { throw .EINVAL }
        return try check(file, table, journal)
    }

    /// Under another name first, so that nobody finds half of one.
    private static func make(_ path: String, _ wanted: Wanted) throws(Errno) {
        let name = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let file = OwnedDescriptor(adopting: try systemCall { unsafe Glibc.open(name, flags, 0o600) })
        defer { _ = unsafe unlink(name) }
        try fill(
            file.rawValue, wanted.table ?? TableLayout.defaultByteCount,
            wanted.journal ?? TableLayout.defaultJournalByteCount)
        _ = try systemCall { unsafe link(name, path) }
    }

    private static func fill(_ file: Int32, _ table: Int, _ journal: Int) throws(Errno) {
        // All of it, so that a full file system is an error here and no signal later.
        let total = table + journal + TableLayout.privateByteCount
        _ = try systemCall { fallocate(file, 0, 0, total) }
        var random = SystemRandomNumberGenerator()
        var key: (UInt64, UInt64) = (random.next(), random.next())
        _ = try systemCall { unsafe pwrite(file, &key, 16, table + journal) }

        let words = try SharedWords(file, byteCount: table + journal, readOnly: false)
        typealias Header = TableLayout.Header
        words.store32(Header.version, TableLayout.version)
        words.store32(Header.slotSize, UInt32(TableLayout.slotByteCount))
        words.store(Header.tableSize, UInt64(table))
        words.store(Header.journalSize, UInt64(journal))
        words.store32(Header.slots, TableLayout.slotCount(tableByteCount: table))
        words.store(Header.epoch, 1)
        words.store(table + JournalLayout.Header.magic, JournalLayout.magic)
        words.store32(table + JournalLayout.Header.version, JournalLayout.version)
        words.store32(table + JournalLayout.Header.recordSize, UInt32(JournalLayout.recordByteCount))
        words.store(
            table + JournalLayout.Header.records, JournalLayout.recordCount(journalByteCount: journal))
        words.store(Header.magic, TableLayout.magic)
    }

    private static func check(_ file: consuming OwnedDescriptor, _ table: Int, _ journal: Int) throws(Errno)
        -> TableFile
    {
        let number = file.rawValue
        var status = stat()
        _ = try systemCall { unsafe fstat(number, &status) }
        guard status.st_size == table + journal + TableLayout.privateByteCount else { throw .EINVAL }
        let words = try SharedWords(number, byteCount: table + journal, readOnly: true)
        guard TableShape(words) == TableShape(tableByteCount: table, journalByteCount: journal) else {
            throw .EINVAL
        }
        var key: (UInt64, UInt64) = (0, 0)
        guard try systemCall({ unsafe pread(number, &key, 16, table + journal) }) == 16 else { throw .EINVAL }
        return TableFile(
            descriptor: file, tableByteCount: table, journalByteCount: journal,
            hash: SlotHash(
                low: key.0, high: key.1, slots: TableLayout.slotCount(tableByteCount: table)))
    }
}

/// What the header says that must be so.
struct TableShape: Equatable {
    private var magic = TableLayout.magic
    private var version = TableLayout.version
    private var slotSize = UInt32(TableLayout.slotByteCount)
    private(set) var tableByteCount: UInt64
    private(set) var journalByteCount: UInt64
    private var slots: UInt32

    init(tableByteCount: Int, journalByteCount: Int) {
        self.tableByteCount = UInt64(tableByteCount)
        self.journalByteCount = UInt64(journalByteCount)
        slots = TableLayout.slotCount(tableByteCount: tableByteCount)
    }

    init(_ words: SharedWords) {
        typealias Header = TableLayout.Header
        magic = words.load(Header.magic)
        version = words.load32(Header.version)
        slotSize = words.load32(Header.slotSize)
        tableByteCount = words.load(Header.tableSize)
        journalByteCount = words.load(Header.journalSize)
        slots = words.load32(Header.slots)
    }
}
