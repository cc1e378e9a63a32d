// SPDX-License-Identifier: Apache-2.0
import HostOS

/// Tells in the table and in its journal what the host's kernel says has changed below the shared directory (docs/version-table.md, "The
/// watcher"). For one thread.
package struct EventTeller<Resolver: HandleResolver> {
    let table: VersionTable
    let resolver: Resolver
    var objects: KnownObjects<Resolver>
    /// Whether they lie below the shared directory. As good as nobody moves a directory.
    private var directories = RecentTable<FileHandle, Bool>(limit: 65536)
    /// Processes that have lately moved something to a name below the shared directory, and how many events ago: what they have replaced
    /// follows, and has no name any more.
    private var movers = RecentTable<Int32, UInt64>(limit: 256)
    private var eventCount: UInt64 = 0
    /// The record of a MOVED_FROM whose MOVED_TO comes next.
    private var away: (process: Int32, sequence: UInt64)?
    /// How often events were lost.
    package private(set) var losses: UInt64 = 0

    package init(_ table: VersionTable, _ resolver: Resolver) {
        self.table = table
        self.resolver = resolver
        objects = KnownObjects(resolver)
    }

    /// - Parameter daemons: the origin of each process that tells its own changes. What they have done is told already, but for
    ///   what they have written, which is bumped and not yet in the journal.
    package mutating func tell(_ event: WatchEvent, daemons: [Int32: UInt32]) {
        eventCount += 1
        if event.changes.contains(.lost) { return lose() }
        // Before anybody asks where they are now.
        if event.changes.contains(.ofDirectory),
            !event.changes.isDisjoint(with: [.moved, .movedFrom, .movedTo])
        {
            directories.removeAll()
        }
        if let origin = daemons[event.process] {
            if event.place == nil, let object = event.object { objects.linksHaveChanged(of: object) }
            if event.changes.contains(.modified) { tellWritten(event, origin) }
            return
        }
        guard let place = event.place else { return tellNameless(event) }
        if place.name == Self.itself {
            tellDirectory(event.changes, place.directory)
        } else if event.changes.contains(.moved) {
            tellMoved(event, place)
        } else if isBelow(place.directory) {
            tellBelow(event, place)
        } else if event.changes.contains(.attributes) || event.changes.contains(.modified) {
            tellOutside(event)
        }
    }

    private static var itself: [UInt8] { [UInt8(ascii: ".")] }

    /// What was cached, and what this one knows, may be wrong.
    private mutating func lose() {
        losses += 1
        objects.removeAll()
        directories.removeAll()
        table.beginEpoch()
        table.journal.append(JournalRecord(.everything))
    }

    private mutating func isBelow(_ directory: FileHandle) -> Bool {
        if let known = directories[directory] { return known }
        // In a directory that is gone nobody finds anything; that it is gone is an event of its own.
        guard let found = resolver.isBelow(directory) else { return false }
        directories[directory] = found
        return found
    }

    // ---- by name, below ----

    private mutating func tellBelow(_ event: WatchEvent, _ place: WatchEvent.Place) {
        let changes = event.changes
        let parent = objects.key(of: place.directory)
        // Before Linux 5.17 what happens to a name does not say to which object.
        let object =
            event.object.map { objects.key(of: $0, isBelow: true) }
            ?? resolver.find(place.name, in: place.directory)?.key
        let isMoved = !changes.isDisjoint(with: [.movedFrom, .movedTo])
        if isMoved || !changes.isDisjoint(with: [.created, .removed]) { bump(parent, .both) }
        if isMoved || !changes.isDisjoint(with: [.modified, .removed]) {
            bump(object, .both)
        } else {
            bump(object, .attributes)
        }

        func tell(_ kind: JournalRecord.Kind, pair: UInt64? = nil) -> UInt64 {
            append(kind, object, in: parent, place.name, pair: pair)
        }
        // Several changes of one name can be one event, and in which order they were it does not say.
        let isThere =
            changes.contains([.created, .removed]) && resolver.find(place.name, in: place.directory) != nil
        if isThere { _ = tell(.removed) }
        if changes.contains(.created) { _ = tell(.created) }
        if changes.contains(.movedTo) {
            movers[event.process] = eventCount
            _ = tell(.movedHere, pair: away?.process == event.process ? away?.sequence : nil)
        }
        if changes.contains(.modified) { _ = tell(.content) }
        if changes.contains(.attributes) { _ = tell(.attributes) }
        if changes.contains(.removed), !isThere { _ = tell(.removed) }
        away = changes.contains(.movedFrom) ? (event.process, tell(.movedAway)) : nil
    }

    private mutating func tellMoved(_ event: WatchEvent, _ old: WatchEvent.Place) {
        guard let new = event.newPlace else { return }
        let (isFrom, isTo) = (isBelow(old.directory), isBelow(new.directory))
        guard isFrom || isTo else { return tellOutside(event) }
        let from = isFrom ? objects.key(of: old.directory) : nil
        let to = isTo ? objects.key(of: new.directory) : nil
        let object = event.object.flatMap { objects.key(of: $0, isBelow: true) }
        bump(from, .both)
        if to != from { bump(to, .both) }
        bump(object, .both)
        let pair = isFrom ? append(.movedAway, object, in: from, old.name) : nil
        if isTo {
            movers[event.process] = eventCount
            append(.movedHere, object, in: to, new.name, pair: pair)
        }
    }

    private mutating func tellDirectory(_ changes: WatchEvent.Changes, _ directory: FileHandle) {
        guard isBelow(directory) else { return }
        tellAlone(changes, objects.key(of: directory))
    }

    // ---- without a name ----

    /// An object that another directory has a name of, or the kernel came to by none.
    ///
    /// It may have names below the shared directory too if it has several. Then it is told, without those that are nobody's business.
    private mutating func tellOutside(_ event: WatchEvent) {
        guard let object = event.object else { return }
        let isDirectory = event.changes.contains(.ofDirectory)
        guard object == resolver.root || (!isDirectory && objects.haveSeveralNames(object)) else { return }
        tellAlone(event.changes, objects.key(of: object))
    }

    private mutating func tellNameless(_ event: WatchEvent) {
        guard let object = event.object else { return }
        let wasBelow = objects.isBelow(object)
        objects.linksHaveChanged(of: object)
        let found = resolver.find(object)
        if let found { objects.update(object, found) }
        // Without a link it is known, has been replaced by a move, or has lost its name: that is an event which says where.
        if (found?.links ?? 0) > 0 || wasBelow || (found != nil && hasMoved(event.process)) {
            tellAlone(event.changes, objects.key(of: object))
        }
    }

    /// Events of other threads and processes may lie between a move and that of what it replaced.
    private mutating func hasMoved(_ process: Int32) -> Bool {
        movers[process].map { eventCount - $0 < 4096 } ?? false
    }

    private mutating func tellAlone(_ changes: WatchEvent.Changes, _ object: FileKey?) {
        guard let object else { return }
        let isModified = changes.contains(.modified)
        bump(object, isModified ? .both : .attributes)
        if isModified { append(.content, object) }
        if !isModified || changes.contains(.attributes) { append(.attributes, object) }
    }

    /// By a daemon: no record is made by WRITE. It serves nothing but what is below, so that is not looked for, which a guest
    /// could make long.
    private mutating func tellWritten(_ event: WatchEvent, _ origin: UInt32) {
        guard let handle = event.object, let object = objects.key(of: handle, isBelow: true) else { return }
        let parent = event.place.flatMap { objects.key(of: $0.directory) }
        append(
            .content, object, in: parent, parent == nil ? [] : event.place?.name ?? [], origin: origin)
    }

    // ---- the table ----

    /// Too late to wait for followers: whoever asks from now on gets what is new.
    private func bump(_ object: FileKey?, _ aspects: Aspects) {
        guard let object else { return }
        let slot = table.slot(of: object)
        table.bump(slot, aspects)
        Follower.announce(CollectionOfOne(slot), sparing: 0, in: table)
    }

    @discardableResult
    private func append(
        _ kind: JournalRecord.Kind, _ object: FileKey?, in parent: FileKey? = nil, _ name: [UInt8] = [],
        pair: UInt64? = nil, origin: UInt32 = 0
    ) -> UInt64 {
        var record = JournalRecord(kind)
        record.origin = origin
        record.object = object
        record.parent = parent
        if let object { record.slot = table.slot(of: object) }
        if let parent { record.parentSlot = table.slot(of: parent) }
        record.pair = pair
        record.name = name
        return table.journal.append(record)
    }
}
