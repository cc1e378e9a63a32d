// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS

extension HostileCase {
    /// CVE-2020-35517.
    static let t02 = HostileCase(
        name: "T02",
        title:
            "devices, pipes and sockets in the share are never opened, also not one that takes a file's place"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--xattr"])
        let guest = try rig.guest()
        let kinds: [(String, mode_t)] = [
            ("a character device", S_IFCHR), ("a block device", S_IFBLK), ("a pipe", S_IFIFO),
            ("a socket", S_IFSOCK),
        ]
        for (index, kind) in kinds.enumerated() {
            let name = Array("special\(index)".utf8)
            // The zero device: opened, it would work.
            let special = try guest.mknod(.root, name, mode: kind.1 | 0o666, rdev: 1 << 8 | 5)
            for flags in [Open.read, Open.write, Open.readWrite, Open.readWrite | Open.truncate] {
                verdict.expectRefusal(of: "OPEN of \(kind.0)") { try guest.open(special.node, flags: flags) }
            }
            verdict.expectRefusal(of: "CREATE over \(kind.0)") {
                try guest.create(.root, name, flags: Open.readWrite)
            }
            verdict.expectRefusal(of: "truncating \(kind.0)") { try guest.truncate(special.node, to: 0) }
            verdict.expectRefusal(of: "OPENDIR of \(kind.0)") { try guest.opendir(special.node) }
            verdict.expectSuccess(of: "GETATTR of \(kind.0)") { try guest.getattr(special.node) }
        }
        try rig.write("file", "x")
        let file = try guest.lookup(.root, "file".utf8)
        unlink(rig.path("file"))
        mknod(rig.path("file"), S_IFCHR | 0o666, 1 << 8 | 5)
        if let opened = try? guest.open(file.node, flags: Open.read) {
            let data = (try? guest.read(file.node, opened.handle, size: 1)) ?? []
            verdict.expect(data != [0], else: "a device that took a file's place was opened")
        }
        let process = try rig.servingProcess(of: guest.frontend)
        for number in try Files.names(in: "/proc/\(process)/fd") {
            let flags = (try? Files.text("/proc/\(process)/fdinfo/\(number)")) ?? ""
            var target = [CChar](repeating: 0, count: 256)
            let length = readlink("/proc/\(process)/fd/\(number)", &target, target.count)
            let text = String(
                decoding: target.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // What is open by O_PATH only is not open.
            let isPath = flags.split(separator: "\n").contains { line in
                line.hasPrefix("flags:")
                    && (Int(line.split(separator: "\t").last ?? "0", radix: 8) ?? 0) & 0o10000000 != 0
            }
            verdict.expect(!text.contains("special") || isPath, else: "the daemon has \(text) open")
        }
    }
}
