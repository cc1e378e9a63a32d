// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc

/// What a lane knows of the share: nodeids and handles by their slots.
struct Knowledge: Sendable {
    private var nodes: [UInt64] = []
    private var handles: [UInt64] = []

    init() {}

    init(of script: Script, directory: UInt64) {
        nodes = Array(repeating: 0, count: script.nodeCount)
        nodes[NodeSlot.directory.index] = directory
        handles = Array(repeating: 0, count: script.handleCount)
    }

    subscript(slot: NodeSlot) -> UInt64 {
        get { nodes[slot.index] }
        set { nodes[slot.index] = newValue }
    }

    subscript(slot: HandleSlot) -> UInt64 {
        get { handles[slot.index] }
        set { handles[slot.index] = newValue }
    }
}

/// One thread of the guest: carries out the steps of a script one after the other, each when the one before is answered.
final class Lane {
    let index: Int
    let name: [UInt8]
    let memory: LaneMemory
    var knowledge = Knowledge()
    /// Which step is next or in flight.
    var step = 0
    /// When the current operation began, on the monotonic clock.
    var began: Int64 = 0
    var unique: UInt64 = 0

    private var position: FilePosition

    /// The nodeids that the current listing has given, and where it goes on.
    var listed: [UInt64] = []
    var listingOffset: UInt64 = 0
    private var listing = [UInt8](repeating: 0, count: Script.listByteCount)

    init(index: Int, memory: LaneMemory) {
        self.index = index
        self.memory = memory
        position = FilePosition(lane: index)
        name = Array("lane\(index)".utf8)
    }

    /// Begins a run at the same places of the file as every run, each lane at its own.
    func reset(_ knowledge: Knowledge, script: Script) {
        self.knowledge = knowledge
        step = 0
        position = FilePosition(lane: index)
        listed.removeAll(keepingCapacity: true)
        listed.reserveCapacity(script.listedEntryCount)
        listingOffset = 0
    }

    /// The byte at which a READ or WRITE of `size` bytes begins.
    func position(_ place: Place, size: UInt32) -> UInt64 { position.next(place, size: size) }

    /// Takes the entries of a READDIRPLUS reply.
    ///
    /// - Returns: false at the directory's end.
    /// - Throws: what is wrong with the reply, in a few words.
    func takeListing(byteCount: Int, expected: Int) throws(ListingError) -> Bool {
        memory.fetchData(into: &listing, byteCount: byteCount)
        var walker = EntryWalker(byteCount: byteCount)
        var found = false
        while true {
            let next: EntryWalker.Entry?
            do throws(WireError) { next = try walker.next(listing) } catch { throw .malformed }
            guard let entry = next else { break }
            found = true
            listingOffset = entry.offset
            if entry.isDot { continue }
            if entry.nodeID == 0 { throw .noNode }
            if listed.count == expected { throw .tooMany }
            listed.append(entry.nodeID)
        }
        if !found && listed.count != expected { throw .tooFew }
        return found
    }
}

/// What can be wrong with a listing.
enum ListingError: Error {
    case malformed, noNode, tooMany, tooFew

    var text: String {
        switch self {
        case .malformed: "malformed entries"
        case .noNode: "an entry without a node"
        case .tooMany: "more entries than the directory has"
        case .tooFew: "fewer entries than the directory has"
        }
    }
}
