// SPDX-License-Identifier: Apache-2.0

/// Where everything is in a table file: docs/version-table.md, with the same names.
package enum TableLayout {
    package static let magic: UInt64 = 0x7372_6556_7472_6976  // "virtVers"
    package static let version: UInt32 = 1
    /// Sizes of table and journal are multiples of this, which is what a guest can map.
    package static let unit = 2 << 20
    package static let privateByteCount = 4096
    /// Room for 130,000 objects without many of them sharing a slot.
    package static let defaultByteCount = 4 << 20
    /// 5,450 records.
    package static let defaultJournalByteCount = 2 << 20

    package static let headerByteCount = 12288
    package static let slotByteCount = 32
    /// Writers and followers are bits of a word.
    package static let participants = 64
    package static let participantByteCount = 64
    /// Of an object that is not known.
    package static let noSlot = UInt32.max

    enum Header {
        static let magic = 0
        static let version = 8
        static let slotSize = 12
        static let tableSize = 16
        static let journalSize = 24
        static let slots = 32
        static let origins = 36
        static let lasting = 40
        static let epoch = 64
        static let heartbeat = 128
        static let writers = 4096
        static let followers = 8192
    }

    enum Slot {
        static let attributes = 0
        static let content = 8
        static let changing = 16
        static let interest = 24
    }

    enum Writer {
        static let count = 0
        static let origin = 4
        static let slots = 8
        static let process = 24
        static let namespace = 28
        /// How many objects one change may touch: RENAME, two directories and two objects.
        static let maximumSlots = 4
        /// In the place of `count`: any number, of which each has the writer's bit.
        static let anySlots = UInt32.max
    }

    enum Follower {
        static let acknowledged = 0
        static let state = 8
    }

    package static func slotCount(tableByteCount: Int) -> UInt32 {
        UInt32((tableByteCount - headerByteCount) / slotByteCount)
    }
}

/// Where everything is in the journal, from its own beginning.
package enum JournalLayout {
    static let magic: UInt64 = 0x6c6e_724a_7472_6976  // "virtJrnl"
    static let version: UInt32 = 1
    static let headerByteCount = 4096
    static let recordByteCount = 384

    enum Header {
        static let magic = 0
        static let version = 8
        static let recordSize = 12
        static let records = 16
        static let head = 64
        static let sleepers = 72
    }

    enum Record {
        static let mark = 0
        static let kind = 8
        static let origin = 12
        static let object = 16
        static let parent = 32
        static let slot = 48
        static let parentSlot = 52
        static let followers = 56
        static let pair = 64
        static let nameLength = 72
        static let name = 74
        static let maximumName = 255
    }

    static func recordCount(journalByteCount: Int) -> UInt64 {
        UInt64((journalByteCount - headerByteCount) / recordByteCount)
    }
}
