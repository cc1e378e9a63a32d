// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import Glibc
import HostOS

/// An event of inotify(7).
struct Notice: Equatable {
    let watch: Int32
    let mask: UInt32
    /// The same of both parts of a move.
    let cookie: UInt32
    /// Empty: of the directory itself.
    let name: [UInt8]

    var isLoss: Bool { has(IN_Q_OVERFLOW) }
    func has(_ bit: Int32) -> Bool { mask & UInt32(bit) != 0 }

    /// Those in `bytes`; what is cut off is left out.
    static func all(in bytes: ArraySlice<UInt8>) -> [Notice] {
        var result: [Notice] = []
        var rest = bytes
        func word(_ index: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(rest[rest.startIndex + 4 * index + $1]) << UInt32(8 * $1) }
        }
        while rest.count >= 16, Int(word(3)) <= rest.count - 16 {
            let (watch, mask, cookie, length) = (word(0), word(1), word(2), Int(word(3)))
            let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
            result.append(
                Notice(watch: Int32(bitPattern: watch), mask: mask, cookie: cookie, name: Array(name)))
            rest = rest.dropFirst(16 + length)
        }
        return result
    }
}

extension DirectoryTree {
    /// What one notice comes to.
    func turn(_ notice: Notice) throws(Errno) -> [WatchEvent] {
        guard let directory = directories[notice.watch] else { return [] }
        if notice.has(IN_IGNORED) {
            directories[notice.watch] = nil
            return []
        }
        let isDirectory = notice.has(IN_ISDIR)
        let place = WatchEvent.Place(
            Self.handle(directory.key), notice.name.isEmpty ? [UInt8(ascii: ".")] : notice.name)
        if notice.name.isEmpty {
            return notice.has(IN_ATTRIB) ? [WatchEvent([.attributes, .ofDirectory], at: place)] : []
        }
        let key = notice.name.hashValue
        func object(_ inode: UInt64) -> FileHandle {
            Self.handle(FileKey(device: directory.key.device, number: inode))
        }
        func event(_ changes: WatchEvent.Changes, _ inode: UInt64?) -> WatchEvent {
            WatchEvent(
                isDirectory ? [changes, .ofDirectory] : changes, by: Int32(bitPattern: notice.cookie),
                object: inode.map(object), at: place)
        }
        if notice.has(IN_DELETE) { return [event(.removed, forgetName(key, in: notice.watch))] }
        if notice.has(IN_MOVED_FROM) {
            let inode = forgetName(key, in: notice.watch)
            if isDirectory, let watch = child(notice.name, of: notice.watch) { moved[notice.cookie] = watch }
            return [event(.movedFrom, inode)]
        }
        if notice.has(IN_CREATE) || notice.has(IN_MOVED_TO) {
            let replaced = directory.inodes[key]
            let inode = inode(notice.name, in: notice.watch)
            directories[notice.watch]?.inodes[key] = inode
            var events = [event(notice.has(IN_CREATE) ? .created : .movedTo, inode)]
            if let replaced, replaced != inode, !isDirectory {
                events.append(WatchEvent(.attributes, object: object(replaced)))
            }
            if isDirectory { events += try arrive(notice) }
            return events
        }
        // A directory says so itself.
        if isDirectory { return [] }
        var changes: WatchEvent.Changes = []
        if notice.has(IN_MODIFY) { changes.insert(.modified) }
        if notice.has(IN_ATTRIB) { changes.insert(.attributes) }
        return changes.isEmpty ? [] : [event(changes, directory.inodes[key])]
    }

    private func forgetName(_ key: Int, in watch: Int32) -> UInt64? {
        directories[watch]?.inodes.removeValue(forKey: key)
    }

    private func child(_ name: [UInt8], of watch: Int32) -> Int32? {
        directories.first { $0.value.parent == watch && $0.value.name == name }?.key
    }

    /// A directory that is new here, or one that has only been moved.
    private func arrive(_ notice: Notice) throws(Errno) -> [WatchEvent] {
        if let watch = moved.removeValue(forKey: notice.cookie), notice.cookie != 0 {
            directories[watch]?.parent = notice.watch
            directories[watch]?.name = notice.name
            return []
        }
        return try watchNew(notice.name, in: notice.watch)
    }

    private func inode(_ name: [UInt8], in watch: Int32) -> UInt64? {
        guard let parent = openDirectory(watch) else { return nil }
        let text = name.map { CChar(bitPattern: $0) } + [0]
        return unsafe (try? FileStatus(parent.rawValue, text))?.raw.stx_ino
    }
}
