// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import Frontend
import Glibc
import HostOS
import Testing

/// A daemon with a version table, a directory that it shares, one beside it, and somebody who follows what is told.
final class WatchRig {
    let base: String
    var share: String { base + "/share" }
    var outside: String { base + "/outside" }
    let tablePath: String
    let daemon: DaemonProcess
    let table: VersionTable
    private let tableFolder = try! TemporaryDirectory(prefix: "watch-")
    private var reader: JournalReader
    private var labels: [FileKey: String] = [:]
    private var markers = 0

    /// So large that no two of a test's objects share a slot, but in one of ten thousand runs.
    static let tableByteCount = 32 << 20
    static func options(_ table: String) -> [String] {
        ["--version-table", table, "--version-table-size", "32M"]
    }

    /// - Parameter place: where the shared directory is to be.
    init(at place: String, _ more: [String] = [], command: [String] = [executable]) throws {
        var template = Array((place + "/watch.XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        base = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for name in ["share", "share/sub", "share/sync", "outside"] { mkdir(base + "/" + name, 0o755) }
        tablePath = tableFolder.path + "/table"
        daemon = try DaemonProcess(
            Self.options(tablePath) + more, command: command, share: base + "/share")
        table = try VersionTable(
            path: tablePath, tableByteCount: Self.tableByteCount, journalByteCount: 2 << 20)
        reader = JournalReader(table)
        for (name, label) in [("share", "share"), ("share/sub", "sub"), ("outside", "outside")] {
            labels[try key(base + "/" + name)] = label
        }
        try awaitHeartbeat()
    }

    deinit { removeTree(base) }

    func key(_ path: String) throws -> FileKey { FileKey(try FileStatus(AT_FDCWD, path)) }

    /// Lets what is told of the object at `path` be about `label`.
    func know(_ label: String, _ path: String) throws { labels[try key(path)] = label }

    // ---- waiting ----

    static func wait(_ what: String, _ condition: () throws -> Bool) throws {
        let deadline = Deadline(milliseconds: 30_000)
        while try !condition() {
            guard !deadline.hasPassed else { throw Late(what: what) }
            usleep(2000)
        }
    }

    struct Late: Error { let what: String }

    func awaitHeartbeat() throws {
        let beat = table.heartbeat
        try Self.wait("a heartbeat") { table.heartbeat != beat }
    }

    /// Everything that has been told until now, when all of the host's changes until now have been.
    func records() throws -> [JournalRecord] {
        markers += 1
        let name = "marker-\(markers)"
        _ = try create(share + "/sync/" + name)
        var result: [JournalRecord] = []
        var isDone = false
        try Self.wait("the marker") {
            while let event = reader.next() {
                guard case .record(let record, _) = event else { throw Late(what: "a record") }
                if record.kind == .created, record.name == Array(name.utf8) {
                    isDone = true
                    break
                }
                result.append(record)
            }
            return isDone
        }
        return result
    }

    /// For who has fallen behind.
    func followAnew() { reader = JournalReader(table) }

    func write(_ path: String) throws {
        let file = try create(path)
        try Files.writeAll(file.rawValue, [1, 2, 3])
    }

    func create(_ path: String, flags: Int32 = O_RDWR | O_CREAT) throws -> OwnedDescriptor {
        OwnedDescriptor(adopting: try systemCall { open(path, flags | O_CLOEXEC, 0o644) })
    }

    // ---- what an edit comes to ----

    struct Change {
        /// By label.
        var bumped: [String: Aspects] = [:]
        var told: [String] = []
    }

    private func versions(_ bytes: [UInt8], _ key: FileKey) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
        let place = 12288 + 32 * Int(table.slot(of: key))
        return (bytes[place..<place + 8], bytes[place + 8..<place + 16])
    }

    /// What `edit` did to what has a label then, and what was told of that.
    func change(_ edit: () throws -> Void) throws -> Change {
        _ = try records()
        let before = try Files.read(tablePath)
        try edit()
        let records = try records()
        let after = try Files.read(tablePath)
        var change = Change()
        for (key, label) in labels {
            let (old, new) = (versions(before, key), versions(after, key))
            var aspects: Aspects = []
            if old.0 != new.0 { aspects.insert(.attributes) }
            if old.1 != new.1 { aspects.insert(.content) }
            if !aspects.isEmpty { change.bumped[label] = aspects }
        }
        change.told = told(records)
        return change
    }

    /// Those that a daemon has told, or that are about what has a label.
    func ownRecords() throws -> [JournalRecord] {
        try records().filter { record in
            let keys = [record.object, record.parent].compactMap { $0 }
            return record.origin != 0 || keys.contains { labels[$0] != nil }
        }
    }

    /// Those about what has a label: others use the file system too. Repeated ones once.
    func told(_ records: [JournalRecord]) -> [String] {
        var result: [String] = []
        for record in records {
            let (object, parent) = (record.object.map { labels[$0] }, record.parent.map { labels[$0] })
            guard object ?? nil != nil || parent ?? nil != nil else { continue }
            var words = ["\(record.kind)"]
            if let object { words.append(object ?? "?") }
            if let parent {
                words.append("\(parent ?? "?")/\(String(decoding: record.name, as: UTF8.self))")
            }
            if record.kind == .movedHere, record.pair == nil { words.append("from elsewhere") }
            let line = words.joined(separator: " ")
            if result.last != line { result.append(line) }
        }
        return result
    }

    // ---- the process ----

    /// Those that have this table open, by name.
    func watchProcesses() -> [pid_t] {
        let numbers = ((try? Files.names(in: "/proc")) ?? []).compactMap { pid_t($0) }
        return numbers.filter { number in
            guard (try? Files.text("/proc/\(number)/comm")) == "virtiofsd-watch\n" else { return false }
            let open = (try? Files.names(in: "/proc/\(number)/fd")) ?? []
            return open.contains { (try? linkTarget("/proc/\(number)/fd/\($0)")) == tablePath }
        }
    }
}
