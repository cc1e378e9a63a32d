// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Synchronization

@testable import Coherence

/// A host that says what a test has put there.
final class PretendedHost: HandleResolver, Sendable {
    struct State {
        var objects: [FileHandle: FoundObject] = [:]
        var names: [[UInt8]: FoundObject] = [:]
        var below: [FileHandle: Bool] = [:]
        var questions = 0
    }
    let state = Mutex(State())
    let root = handle(1)

    func find(_ object: FileHandle) -> FoundObject? {
        state.withLock {
            $0.questions += 1
            return $0.objects[object]
        }
    }
    func find(_ name: [UInt8], in directory: FileHandle) -> FoundObject? {
        state.withLock { $0.names[name] }
    }
    func isBelow(_ directory: FileHandle) -> Bool? {
        state.withLock {
            $0.questions += 1
            return $0.below[directory]
        }
    }
}

func handle(_ number: UInt8) -> FileHandle { FileHandle([UInt8](repeating: number, count: 24)) }

/// A teller, and what it has told since it was last asked.
///
/// The shared directory is object 1; 2 is a directory below it, 3 one outside. The others are files with one name.
final class TellerRig {
    let rig: TableRig
    let table: VersionTable
    let host = PretendedHost()
    private var teller: EventTeller<PretendedHost>
    private let reader: JournalReader
    private var seen: [UInt64: (UInt64, UInt64)] = [:]
    private static let numbers = 1...12 as ClosedRange<UInt64>

    init() throws {
        // One whose key gives each object a slot of its own.
        var (rig, table) = (TableRig(), try TableRig().open())
        repeat {
            rig = TableRig()
            table = try rig.open()
        } while Set(Self.numbers.map { table.slot(of: key($0)) }).count < Self.numbers.count
        (self.rig, self.table) = (rig, table)
        reader = JournalReader(table)
        teller = EventTeller(table, host)
        host.state.withLock { state in
            for number in Self.numbers {
                state.objects[handle(UInt8(number))] = FoundObject(key: key(number), links: 1)
            }
            state.below = [handle(1): true, handle(2): true, handle(3): false]
        }
        for number in Self.numbers { seen[number] = versions(number) }
    }

    private func versions(_ number: UInt64) -> (UInt64, UInt64) {
        let slot = table.slot(of: key(number))
        return (table.attributesVersion(slot), table.contentVersion(slot))
    }

    func tell(_ event: WatchEvent, daemons: [Int32: UInt32] = [:]) { teller.tell(event, daemons: daemons) }

    /// Which objects have been bumped, and how.
    func bumped() -> [UInt64: Aspects] {
        var result: [UInt64: Aspects] = [:]
        for number in Self.numbers {
            let (old, new) = (seen[number]!, versions(number))
            var aspects: Aspects = []
            if new.0 != old.0 { aspects.insert(.attributes) }
            if new.1 != old.1 { aspects.insert(.content) }
            if !aspects.isEmpty { result[number] = aspects }
            seen[number] = new
        }
        return result
    }

    /// The records: kind, object, parent, name.
    func told() -> [String] {
        var result: [String] = []
        while let event = reader.next() {
            guard case .record(let record, _) = event else {
                result.append("missed")
                continue
            }
            var words = ["\(record.kind)"]
            if let object = record.object { words.append("\(object.number)") }
            if let parent = record.parent {
                words.append("\(parent.number)/\(String(decoding: record.name, as: UTF8.self))")
            }
            if record.origin != 0 { words.append("by \(record.origin)") }
            if let pair = record.pair { words.append("pair \(pair)") }
            result.append(words.joined(separator: " "))
        }
        return result
    }

    func forget(_ number: UInt8) { host.state.withLock { $0.objects[handle(number)] = nil } }
    func link(_ number: UInt8, _ links: UInt32) {
        host.state.withLock {
            $0.objects[handle(number)] = FoundObject(key: key(UInt64(number)), links: links)
        }
    }
}

func at(_ directory: UInt8, _ name: String) -> WatchEvent.Place {
    WatchEvent.Place(handle(directory), Array(name.utf8))
}
