// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import HostOS

/// An object of the host, and where the table counts its changes.
struct Place {
    let key: FileKey
    let slot: UInt32
}

extension CoherentFS {
    func place(_ key: FileKey) -> Place { Place(key: key, slot: table.slot(of: key)) }

    /// ESTALE as every operation on `node` would say.
    func place(of node: NodeID) throws(Errno) -> Place {
        let record = try base.hold(node)
        return place(FileKey(device: record.device, number: record.number))
    }

    /// What `name` means now: one statx(2). nil if it means nothing.
    func place(_ parent: NodeID, _ name: Name) throws(Errno) -> Place? {
        base.enterDaemon()
        let directory = try base.descriptor(of: parent)
        return (try? unsafe FileStatus(directory, name.cString)).map { place(FileKey($0)) }
    }

    /// Carries out a change of `objects`, and says so in the table before and after.
    func announcing<Result>(_ objects: Touched, _ change: () throws(Errno) -> Result) throws(Errno) -> Result
    {
        try writers.announcing(objects) { (bit) throws(Errno) in
            base.ownChange = bit
            defer { base.ownChange = 0 }
            return try change()
        }
    }

    /// Writes what has been done into the journal.
    @discardableResult
    func tell(
        _ kind: JournalRecord.Kind, _ object: Place?, in parent: Place? = nil, _ name: Name? = nil,
        pair: UInt64? = nil
    ) -> UInt64 {
        var record = JournalRecord(kind)
        record.origin = table.origin
        record.pair = pair
        if let object { (record.object, record.slot) = (object.key, object.slot) }
        if let parent { (record.parent, record.parentSlot) = (parent.key, parent.slot) }
        let bytes = unsafe UnsafeRawBufferPointer(start: name?.cString, count: name?.byteCount ?? 0)
        return unsafe table.journal.append(record, name: bytes)
    }
}

extension Touched {
    init(_ place: Place, _ aspects: Aspects) {
        self.init()
        add(place.slot, aspects)
    }

    /// A directory of which an entry comes or goes: its times and links change too.
    init(entryIn directory: Place) { self.init(directory, .both) }

    mutating func add(_ place: Place?, _ aspects: Aspects) {
        if let place { add(place.slot, aspects) }
    }
}
