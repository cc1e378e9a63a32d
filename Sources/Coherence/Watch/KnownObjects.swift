// SPDX-License-Identifier: Apache-2.0
import HostOS

/// Which objects handles mean, asked once: a handle's inode number never changes, and that of an object which is gone is known by this alone.
struct KnownObjects<Resolver: HandleResolver> {
    private struct Known {
        let key: FileKey
        /// nil: has changed since.
        var links: UInt32?
        /// It had a name below the shared directory.
        var isBelow: Bool
    }

    private let resolver: Resolver
    private var table: RecentTable<FileHandle, Known>

    init(_ resolver: Resolver, limit: Int = 65536) {
        self.resolver = resolver
        table = RecentTable(limit: limit)
    }

    /// nil: it is gone, and was not known.
    ///
    /// - Parameter isBelow: it has, or had, a name below the shared directory.
    mutating func key(of handle: FileHandle, isBelow: Bool = false) -> FileKey? {
        guard var known = table[handle] ?? ask(handle) else { return nil }
        if isBelow && !known.isBelow {
            known.isBelow = true
            table[handle] = known
        }
        return known.key
    }

    mutating func isBelow(_ handle: FileHandle) -> Bool { table[handle]?.isBelow ?? false }

    /// False of what is gone.
    mutating func haveSeveralNames(_ handle: FileHandle) -> Bool {
        if let links = table[handle]?.links { return links > 1 }
        return (ask(handle)?.links ?? 0) > 1
    }

    /// Each change of an object's number of links is an event of it without a name; until then that number holds.
    mutating func linksHaveChanged(of handle: FileHandle) {
        guard var known = table[handle] else { return }
        known.links = nil
        table[handle] = known
    }

    mutating func update(_ handle: FileHandle, _ found: FoundObject) {
        table[handle] = Known(
            key: found.key, links: found.links, isBelow: table[handle]?.isBelow ?? false)
    }

    private mutating func ask(_ handle: FileHandle) -> Known? {
        guard let found = resolver.find(handle) else { return nil }
        update(handle, found)
        return table[handle]
    }

    mutating func removeAll() { table.removeAll() }
}
