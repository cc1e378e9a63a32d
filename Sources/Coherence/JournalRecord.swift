// SPDX-License-Identifier: Apache-2.0
import HostOS

/// One record of the journal: what has become of which object.
package struct JournalRecord: Equatable, Sendable {
    package enum Kind: UInt32, Sendable, CaseIterable {
        /// Followers are to give up what their kernels cache of the slot, because it is about to change.
        case revocation = 0
        case created, removed, movedAway, movedHere, attributes, content
        /// More than can be said.
        case everything
    }

    package var kind: Kind
    /// Who did it: `VersionTable.origin`; 0: somebody else on the host.
    package var origin: UInt32 = 0
    /// nil where it is not known.
    package var object: FileKey?
    /// The directory that has the name.
    package var parent: FileKey?
    package var slot = TableLayout.noSlot
    package var parentSlot = TableLayout.noSlot
    /// Of `revocation`: a bit for each follower that has to acknowledge.
    package var followers: UInt64 = 0
    /// Of `movedHere`: the sequence number of the `movedAway` with the old name.
    package var pair: UInt64?
    /// At most 255 bytes without a NUL.
    package var name: [UInt8] = []

    package init(_ kind: Kind) { self.kind = kind }
}

extension JournalRecord {
    private typealias Layout = JournalLayout.Record
    static let wordCount = JournalLayout.recordByteCount / 8

    /// How many words the record has with a name of `length` bytes, the mark included.
    static func wordCount(nameLength length: Int) -> Int { (Layout.name + length + 7) / 8 }

    /// The word at 8 `index`, 1 or more; `name` stands for the record's own.
    func word(_ index: Int, name: UnsafeRawBufferPointer) -> UInt64 {
        switch 8 * index {
        case Layout.kind: UInt64(kind.rawValue) | UInt64(origin) << 32
        case Layout.object: object?.device ?? 0
        case Layout.object + 8: object?.number ?? 0
        case Layout.parent: parent?.device ?? 0
        case Layout.parent + 8: parent?.number ?? 0
        case Layout.slot: UInt64(slot) | UInt64(parentSlot) << 32
        case Layout.followers: followers
        case Layout.pair: pair.map { $0 &+ 1 } ?? 0
        case let offset: unsafe nameWord(offset, name)
        }
    }

    /// Length and bytes of the name, as far as they lie in the eight bytes at `offset`.
    private func nameWord(_ offset: Int, _ name: UnsafeRawBufferPointer) -> UInt64 {
        var word: UInt64 = offset == Layout.nameLength ? UInt64(name.count) : 0
        for place in max(offset, Layout.name)..<offset + 8 where place - Layout.name < name.count {
            word |= unsafe UInt64(name[place - Layout.name]) << (8 * (place - offset))
        }
        return word
    }

    /// From the words behind the mark; nil if it is of a kind that this version does not know.
    init?(words: [UInt64]) {
        func byte(_ offset: Int) -> UInt8 {
            UInt8(truncatingIfNeeded: words[offset / 8 - 1] >> (8 * (offset % 8)))
        }
        func get<T: FixedWidthInteger>(_ offset: Int, _: T.Type = T.self) -> T {
            (0..<MemoryLayout<T>.size).reduce(0) { $0 | T(byte(offset + $1)) << T(8 * $1) }
        }
        func key(_ offset: Int) -> FileKey? {
            let key = FileKey(device: get(offset), number: get(offset + 8))
            return key == FileKey(device: 0, number: 0) ? nil : key
        }
        guard let kind = Kind(rawValue: get(Layout.kind)) else { return nil }
        self.kind = kind
        origin = get(Layout.origin)
        object = key(Layout.object)
        parent = key(Layout.parent)
        slot = get(Layout.slot)
        parentSlot = get(Layout.parentSlot)
        followers = get(Layout.followers)
        let pair: UInt64 = get(Layout.pair)
        self.pair = pair == 0 ? nil : pair - 1
        let length = min(Int(get(Layout.nameLength, UInt16.self)), Layout.maximumName)
        name = (0..<length).map { byte(Layout.name + $0) }
    }
}
