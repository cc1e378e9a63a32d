// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import HostOS

/// Where figures come from.
package struct MachineFacts: Sendable {
    package let kernel: String
    package let processors: Int
    package let processorModel: String
    package let memoryMebibytes: Int
    /// Of the shared directories; nil where only the daemon knows it.
    package let fileSystem: String?

    package init(
        kernel: String, processors: Int, processorModel: String, memoryMebibytes: Int, fileSystem: String?
    ) {
        self.kernel = kernel
        self.processors = processors
        self.processorModel = processorModel
        self.memoryMebibytes = memoryMebibytes
        self.fileSystem = fileSystem
    }

    /// This machine, with `directory` as the place of the shared directories.
    package init(directory: String?) {
        kernel = ((try? Files.text("/proc/sys/kernel/osrelease")) ?? "").trimmed
        processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        processorModel = Self.field("model name", of: "/proc/cpuinfo") ?? ""
        let kibibytes = Self.field("MemTotal", of: "/proc/meminfo")?.split(separator: " ").first
        memoryMebibytes = (kibibytes.flatMap { Int($0) } ?? 0) / 1024
        fileSystem = directory.flatMap { Self.fileSystem(of: $0) }
    }

    private static func field(_ name: String, of path: String) -> String? {
        let text = (try? Files.text(path)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return String(line[line.index(after: colon)...]).trimmed
        }
        return nil
    }

    private static func fileSystem(of directory: String) -> String? {
        var information = statfs()
        guard unsafe statfs(directory, &information) == 0 else { return nil }
        let magic = UInt32(truncatingIfNeeded: information.f_type)
        let names: [UInt32: String] = [
            0xef53: "ext4", 0x5846_5342: "xfs", 0x9123_683e: "btrfs", 0x0102_1994: "tmpfs",
            0x794c_7630: "overlay", 0x2fc1_2fc1: "zfs", 0x6969: "nfs",
        ]
        return names[magic] ?? "0x" + String(magic, radix: 16)
    }
}

extension String {
    /// Without blanks at its ends.
    var trimmed: String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
