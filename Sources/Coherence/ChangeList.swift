// SPDX-License-Identifier: Apache-2.0

/// What a guest is told of the journal: the answer of one READ of the change list (docs/agent.md).
package struct ChangeList: Equatable, Sendable {
    /// Where to go on.
    package var next: UInt64
    package var state: State
    package var changes: [Change] = []

    package init(next: UInt64, state: State = []) {
        self.next = next
        self.state = state
    }

    package struct State: OptionSet, Sendable, Hashable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Changes are lost, so everything may be stale.
        package static let missed = State(rawValue: 1)
        /// Nobody watches the host now, and nothing is cached long.
        package static let unwatched = State(rawValue: 2)
    }

    /// The file's name in the root of the share, for the agent alone.
    package static let fileName = ".virtiofs-changes"
    /// Of a READ that finds out where to begin.
    package static let beginning: UInt64 = 0

    enum Header {
        static let magic: UInt32 = 0x6768_6376  // "vchg"
        static let version: UInt32 = 1
        static let byteCount = 24
    }

    /// How many changes fit in a READ of `byteCount` bytes; negative: not even the header.
    package static func capacity(byteCount: Int) -> Int {
        (byteCount - Header.byteCount + Change.byteCount) / Change.byteCount - 1
    }
}

/// One change, by node ids of the guest that is told.
package struct Change: Equatable, Sendable {
    package var kind: JournalRecord.Kind
    /// What the name means now, or of the object without one: as d_type; 0: nothing, or not known.
    package var type: UInt8 = 0
    package var sequence: UInt64
    /// Of `movedHere`: the sequence of the `movedAway` with the old name.
    package var pair: UInt64?
    /// Node ids; nil: the guest does not know it.
    package var object: UInt64?
    package var parent: UInt64?
    /// At most 255 bytes.
    package var name: [UInt8] = []

    package init(_ kind: JournalRecord.Kind, sequence: UInt64) {
        self.kind = kind
        self.sequence = sequence
    }

    static let byteCount = 296
    static let nameOffset = 40
}

extension ChangeList {
    /// Little-endian, `Header.byteCount + changes.count * Change.byteCount` bytes.
    package func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Header.byteCount + changes.count * Change.byteCount)
        func put<T: FixedWidthInteger>(_ value: T) {
            for index in 0..<MemoryLayout<T>.size {
                bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * index)))
            }
        }
        put(Header.magic)
        put(Header.version)
        put(next)
        put(UInt32(changes.count))
        put(state.rawValue)
        for change in changes {
            let name = change.name.prefix(Change.byteCount - Change.nameOffset - 1)
            put(UInt8(change.kind.rawValue))
            put(change.type)
            put(UInt16(name.count))
            put(UInt32(0))
            put(change.sequence)
            put(change.pair.map { $0 &+ 1 } ?? 0)
            put(change.object ?? 0)
            put(change.parent ?? 0)
            bytes += name
            bytes += [UInt8](repeating: 0, count: Change.byteCount - Change.nameOffset - name.count)
        }
        return bytes
    }

    /// nil: the bytes are no answer of a daemon that this version understands.
    package init?(_ bytes: ArraySlice<UInt8>) {
        func get<T: FixedWidthInteger>(_ offset: Int, _: T.Type = T.self) -> T {
            (0..<MemoryLayout<T>.size).reduce(0) {
                $0 | T(truncatingIfNeeded: bytes[bytes.startIndex + offset + $1]) << T(8 * $1)
            }
        }
        guard bytes.count >= Header.byteCount, get(0) == Header.magic, get(4) == Header.version else {
            return nil
        }
        let count = Int(get(16, UInt32.self))
        guard bytes.count == Header.byteCount + count * Change.byteCount else { return nil }
        self.init(next: get(8), state: State(rawValue: get(20)))
        for index in 0..<count {
            let base = Header.byteCount + index * Change.byteCount
            guard let kind = JournalRecord.Kind(rawValue: UInt32(get(base, UInt8.self))) else { return nil }
            let length = Int(get(base + 2, UInt16.self))
            guard length < Change.byteCount - Change.nameOffset else { return nil }
            var change = Change(kind, sequence: get(base + 8))
            change.type = get(base + 1)
            let (pair, object, parent): (UInt64, UInt64, UInt64) = (
                get(base + 16), get(base + 24), get(base + 32)
            )
            change.pair = pair == 0 ? nil : pair &- 1
            change.object = object == 0 ? nil : object
            change.parent = parent == 0 ? nil : parent
            let name = bytes.startIndex + base + Change.nameOffset
            change.name = Array(bytes[name..<name + length])
            changes.append(change)
        }
    }
}

/// The groups by which the agent in a guest asks (docs/agent.md).
package enum AgentGroup: UInt32, Sendable, CaseIterable {
    /// To look again, and to have watchers told of an object.
    case look = 0x7661_6700
    /// A name is there now.
    case appear
    /// A name is gone.
    case vanish
    /// A name is another now, of anything but a directory.
    case move
    /// The same of a directory.
    case moveDirectory
}
