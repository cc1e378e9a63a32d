// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization

/// What may have changed of an object.
package struct Aspects: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Attributes and extended attributes.
    package static let attributes = Aspects(rawValue: 1)
    /// The data of a file, the entries of a directory.
    package static let content = Aspects(rawValue: 2)
    package static let both: Aspects = [.attributes, .content]
}

/// A version table and its journal (docs/version-table.md), opened by somebody who may write them. For any thread.
package final class VersionTable: Sendable {
    let words: SharedWords
    private let descriptor: SharedDescriptor
    package let tableByteCount: Int
    package let journalByteCount: Int
    private let hash: SlotHash
    package let slotCount: UInt32
    /// The number of this opening of the table, 1 or more: who has made a change.
    package let origin: UInt32
    package let journal: JournalWriter
    /// The process whose writers these are, for the watcher; of no process until `identify`.
    private let process = Atomic<UInt64>(0)
    /// Participants' records that this opening has: a description's own locks do not stop it.
    private let own = Mutex<Set<Int>>([])

    /// Opens the table at `path`, or makes it.
    ///
    /// - Parameters:
    ///   - tableByteCount, journalByteCount: multiples of 2 MiB; nil: as they are, or the defaults.
    /// - Throws: `StartupError` when that cannot be.
    package convenience init(
        path: String, tableByteCount: Int? = nil, journalByteCount: Int? = nil
    ) throws(StartupError) {
        try self.init(
            try TableFile.open(path, .init(table: tableByteCount, journal: journalByteCount)), path)
    }

    /// Opens the table that a daemon has made at `path`, of any size.
    package convenience init(existing path: String) throws(StartupError) {
        try self.init(try TableFile.open(existing: path), path)
    }

    private init(_ file: consuming TableFile, _ path: String) throws(StartupError) {
        (tableByteCount, journalByteCount) = (file.tableByteCount, file.journalByteCount)
        do throws(Errno) {
            words = try SharedWords(
                file.descriptor.rawValue, byteCount: tableByteCount + journalByteCount, readOnly: false)
        } catch {
            throw StartupError(
                operation: "map the version table", subject: path, reason: describe(error))
        }
        hash = file.hash
        slotCount = TableLayout.slotCount(tableByteCount: tableByteCount)
        descriptor = SharedDescriptor(file.descriptor)
        origin = words.add32(TableLayout.Header.origins, 1) &+ 1
        journal = JournalWriter(words, at: tableByteCount, byteCount: journalByteCount)
    }

    /// The file's number, for who keeps nothing else open.
    package var descriptorNumber: Int32 { descriptor.rawValue }

    package func slot(of key: FileKey) -> UInt32 { hash.slot(of: key) }

    // ---- reading ----

    /// Everything that was cached in another epoch is stale.
    package var epoch: UInt64 { words.load(TableLayout.Header.epoch) }
    package var heartbeat: UInt64 { words.load(TableLayout.Header.heartbeat) }

    package func attributesVersion(_ slot: UInt32) -> UInt64 {
        words.load(offset(slot) + TableLayout.Slot.attributes)
    }
    package func contentVersion(_ slot: UInt32) -> UInt64 {
        words.load(offset(slot) + TableLayout.Slot.content)
    }
    /// - Parameter own: bits of writers that do not count.
    package func isChanging(_ slot: UInt32, besides own: UInt64 = 0) -> Bool {
        words.load(offset(slot) + TableLayout.Slot.changing) & ~own != 0
    }

    /// Bits of those writers that change something for long (`LastingChanges`).
    package var lastingWriters: UInt64 { words.load(TableLayout.Header.lasting) }

    // ---- changing ----

    /// All that anybody has cached is stale: changes were lost.
    package func beginEpoch() { words.add(TableLayout.Header.epoch, 1) }

    /// What has been changed by others, who did not say so before.
    package func bump(_ slot: UInt32, _ aspects: Aspects) {
        let place = offset(slot)
        if aspects.contains(.attributes) { words.add(place + TableLayout.Slot.attributes, 1) }
        if aspects.contains(.content) { words.add(place + TableLayout.Slot.content, 1) }
    }

    package func beat() { words.add(TableLayout.Header.heartbeat, 1) }

    func offset(_ slot: UInt32) -> Int {
        TableLayout.headerByteCount + Int(min(slot, slotCount - 1)) * TableLayout.slotByteCount
    }

    // ---- participants ----

    /// Takes the first free record of those at `base`, and repairs one that a dead process has left; nil when all are in use.
    func claim(_ base: Int, repair: (Int) -> Void) -> Int? {
        own.withLock { own in
            for number in 0..<TableLayout.participants {
                let place = base + number * TableLayout.participantByteCount
                guard !own.contains(place), lock(place, F_WRLCK) else { continue }
                repair(number)
                own.insert(place)
                return number
            }
            return nil
        }
    }

    func giveBack(_ base: Int, _ number: Int) {
        let place = base + number * TableLayout.participantByteCount
        own.withLock { own in
            own.remove(place)
            _ = lock(place, F_UNLCK)
        }
    }

    /// Repairs what processes that have died were changing. Cheap enough for each heartbeat.
    package func repairDeadWriters() {
        for number in 0..<TableLayout.participants {
            let record = TableWriter.place(number)
            guard words.load32(record + TableLayout.Writer.origin) != 0 else { continue }
            own.withLock { own in
                guard !own.contains(record), lock(record, F_WRLCK) else { return }
                TableWriter.repair(self, number)
                _ = lock(record, F_UNLCK)
            }
        }
    }

    /// The process that all writers made from now on belong to.
    package func identify(as process: ProcessIdentity) {
        self.process.store(
            UInt64(process.number) | UInt64(process.namespace) << 32, ordering: .relaxed)
    }

    var writerProcess: ProcessIdentity {
        let word = process.load(ordering: .relaxed)
        return ProcessIdentity(
            number: UInt32(truncatingIfNeeded: word), namespace: UInt32(word >> 32))
    }

    /// The origin of each process that has writers, as those in the process namespace `namespace` see its number.
    package func processes(in namespace: UInt32) -> [Int32: UInt32] {
        var result: [Int32: UInt32] = [:]
        for number in 0..<TableLayout.participants {
            let record = TableWriter.place(number)
            let origin = words.load32(record + TableLayout.Writer.origin)
            let process = words.load32(record + TableLayout.Writer.process)
            guard origin != 0, process != 0, namespace != 0,
                words.load32(record + TableLayout.Writer.namespace) == namespace
            else { continue }
            result[Int32(bitPattern: process)] = origin
        }
        return result
    }

    /// Makes this opening the one that watches what is below `root`; false if another one does.
    package func tryToWatch(_ root: FileKey) -> Bool {
        lock(Self.lockSpace + Int(Self.watchNumber(root)), F_WRLCK, 1)
    }

    /// Whether somebody else's opening watches what is below `root`.
    package func isWatched(_ root: FileKey) -> Bool {
        let lock = DescriptionLock.record(
            type: Int16(F_WRLCK), start: Self.lockSpace + Int(Self.watchNumber(root)), length: 1)
        do throws(Errno) { return try lock.conflict(on: descriptor.rawValue) != nil } catch { return false }
    }

    static func watchNumber(_ root: FileKey) -> UInt32 {
        let factor: UInt64 = 0x9e37_79b9_7f4a_7c15
        return UInt32((((root.device &* factor) &+ root.number) &* factor) >> 32)
    }

    /// Far behind the end of every table.
    private static let lockSpace = 1 << 60

    /// Whether nobody, and not this opening either, has the participant's record at `place`.
    func isUnlocked(_ place: Int) -> Bool {
        own.withLock { own in
            guard !own.contains(place) else { return false }
            let lock = DescriptionLock.record(
                type: Int16(F_WRLCK), start: place, length: TableLayout.participantByteCount)
            do throws(Errno) { return try lock.conflict(on: descriptor.rawValue) == nil } catch {
                return false
            }
        }
    }

    private func lock(_ place: Int, _ type: Int32, _ length: Int = TableLayout.participantByteCount) -> Bool {
        do throws(Errno) {
            try DescriptionLock.record(type: Int16(type), start: place, length: length).set(
                on: descriptor.rawValue)
            return true
        } catch { return false }
    }
}
