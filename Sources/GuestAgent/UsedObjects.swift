// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The objects of a mount that processes of the guest use: what they have open, mapped, watch or work in, and the directories
/// above. The kernel keeps their names whatever is dropped.
struct UsedObjects {
    private let mount: AgentMount
    private(set) var nodes: Set<UInt64> = []

    init(of mount: AgentMount) { self.mount = mount }

    /// Looks at all processes but this one; those that end meanwhile are passed over.
    mutating func collect() {
        let own = String(getpid())
        for process in (try? Files.names(in: "/proc")) ?? []
        where process.allSatisfy(\.isNumber) && process != own {
            let folder = "/proc/\(process)"
            for name in ["cwd", "root", "exe"] { add("\(folder)/\(name)") }
            for number in (try? Files.names(in: "\(folder)/fd")) ?? [] {
                add("\(folder)/fd/\(number)")
                addWatched("\(folder)/fdinfo/\(number)", "\(folder)/fd/\(number)")
            }
            addMapped(folder)
        }
    }

    /// What a name of /proc leads to, if that lies on the mount. No file system is asked for it.
    private mutating func add(_ link: String) {
        var status = statx()
        let asked = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT
        guard unsafe statx(AT_FDCWD, link, asked, UInt32(STATX_TYPE), &status) == 0,
            (status.stx_dev_major, status.stx_dev_minor) == mount.device
        else { return }
        var node: UInt64 = 0
        guard unsafe vfs_node_id(AT_FDCWD, link, AT_SYMLINK_FOLLOW, &node) == 0 else { return }
        nodes.insert(node)
        let isDirectory = UInt32(status.stx_mode) & FileType.mask == FileType.directory
        addDirectories(above: link, isDirectory)
    }

    /// By the names that the kernel has, for it is those that have to be looked at again.
    private mutating func addDirectories(above link: String, _ isDirectory: Bool) {
        var start = link
        if !isDirectory {
            guard let path = try? Self.target(of: link), let end = path.lastIndex(of: "/") else { return }
            start = path[..<end] + "/."
        }
        guard
            var directory = try? systemCall({ unsafe open(start, O_PATH | O_DIRECTORY | O_CLOEXEC) }),
            directory >= 0
        else { return }
        defer { close(directory) }
        // A loop of stale names would be one of the kernel's; the bound is for what nobody expects.
        for _ in 0..<4096 {
            guard let status = try? FileStatus(of: directory, flags: AT_STATX_DONT_SYNC),
                (status.raw.stx_dev_major, status.raw.stx_dev_minor) == mount.device,
                let node = try? nodeID(of: directory), node != AgentMount.rootNode
            else { return }
            nodes.insert(node)
            let above = unsafe openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
            guard above >= 0 else { return }
            close(directory)
            directory = above
        }
    }

    private static func target(of link: String) throws(Errno) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try systemCall { unsafe readlink(link, &buffer, buffer.count) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    private mutating func addWatched(_ information: String, _ link: String) {
        guard (try? Self.target(of: link)) == "anon_inode:inotify",
            let text = try? Files.text(information)
        else { return }
        nodes.formUnion(InotifyWatches.nodes(in: text, device: mount.device))
    }

    /// Programs and libraries that run, and whatever else has no descriptor any more.
    private mutating func addMapped(_ folder: String) {
        guard let maps = try? Files.text("\(folder)/maps") else { return }
        for range in MappedRanges.ranges(in: maps, device: mount.device) {
            add("\(folder)/map_files/\(range)")
        }
    }
}

/// What /proc/PID/fdinfo/N says of an inotify instance: a line "inotify wd:1 ino:2 sdev:3 … f_handle:HEX" a watch.
enum InotifyWatches {
    /// The node ids of watched objects on a FUSE file system.
    static func nodes(in text: String, device: (major: UInt32, minor: UInt32)) -> [UInt64] {
        text.split(separator: "\n").compactMap { line in
            var values: [Substring: Substring] = [:]
            for word in line.split(separator: " ") {
                guard let colon = word.firstIndex(of: ":") else { continue }
                values[word[..<colon]] = word[word.index(after: colon)...]
            }
            // As the kernel counts devices inside: MKDEV.
            guard line.hasPrefix("inotify "),
                let number = values["sdev"].flatMap({ UInt32($0, radix: 16) }),
                number >> 20 == device.major, number & 0xF_FFFF == device.minor,
                values["fhandle-type"] == "81", let handle = values["f_handle"], handle.count == 24,
                let upper = word(handle, 0), let lower = word(handle, 8)
            else { return nil }
            return UInt64(upper) << 32 | UInt64(lower)
        }
    }

    /// Four bytes in hexadecimal, in the machine's order: little-endian.
    private static func word(_ digits: Substring, _ offset: Int) -> UInt32? {
        UInt32(digits.dropFirst(offset).prefix(8), radix: 16).map(\.byteSwapped)
    }
}

/// What /proc/PID/maps says: a line "START-END rwxp OFFSET MAJOR:MINOR INODE PATH" a mapping.
enum MappedRanges {
    /// The "START-END" of the first mapping of each file on that device.
    static func ranges(in text: String, device: (major: UInt32, minor: UInt32)) -> [String] {
        var seen: Set<Substring> = []
        return text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count >= 5, fields[4] != "0" else { return nil }
            let numbers = fields[3].split(separator: ":").map { UInt32($0, radix: 16) }
            guard numbers == [device.major, device.minor], seen.insert(fields[4]).inserted else { return nil }
            // The names of map_files have no zeros in front.
            return fields[0].split(separator: "-").map { $0.drop { $0 == "0" } }.joined(separator: "-")
        }
    }
}
