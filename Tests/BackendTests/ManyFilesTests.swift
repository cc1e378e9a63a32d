// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// What a guest that knows a million files costs the host: measured on the daemon's own process.
///
/// VIRTIOFS_MANY_FILES is another number of files.
@Suite struct ManyFilesTests {
    private static let fileCount =
        getenv("VIRTIOFS_MANY_FILES").flatMap { Int(String(cString: $0)) } ?? 1_000_000
    private static let filesPerDirectory = 10_000

    private func fill(_ root: String) throws {
        let perDirectory = Self.filesPerDirectory
        for start in stride(from: 0, to: Self.fileCount, by: perDirectory) {
            try check(mkdir("\(root)/\(start)", 0o755))
            let directory = OwnedDescriptor(
                adopting: try check(open("\(root)/\(start)", O_RDONLY | O_DIRECTORY)))
            for index in start..<min(start + perDirectory, Self.fileCount) {
                try check(mknodat(directory.rawValue, "file-\(index)", S_IFREG | 0o644, 0))
            }
        }
    }

    @Test(.enabled(if: getuid() == 0, "needs root (file handles)"))
    func aMillionFiles() throws {
        let scratch = try TemporaryDirectory()
        let root = scratch.path + "/share"
        try check(mkdir(root, 0o755))
        try fill(root)
        let daemon = try DaemonProcess(sharing: root, ["--num-request-queues", "8"])
        var options = FrontendOptions()
        options.requestQueues = 8
        options.depth = 1
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socketPath, options: options))
        _ = try guest.initialize()
        guest.rotatesQueues = true
        let before = try daemon.status("VmRSS")

        var known = 0
        var sample: [NodeID] = []
        for start in stride(from: 0, to: Self.fileCount, by: Self.filesPerDirectory) {
            let directory = try guest.lookup(.root, "\(start)".utf8)
            let handle = try guest.opendir(directory.node).handle
            var offset: UInt64 = 0
            while true {
                let records = try guest.readdir(
                    directory.node, handle, offset: offset, size: 1 << 16, plus: true)
                guard let last = records.last else { break }
                offset = last.dirent.offset
                let files = records.filter { $0.entry?.nodeID ?? 0 != 0 }
                known += files.count
                if let one = files.first?.entry { sample.append(one.node) }
            }
            try guest.release(directory.node, handle, directory: true)
        }
        #expect(known == Self.fileCount)

        let memory = try daemon.status("VmHWM") / 1024
        let perInode = Double((try daemon.status("VmRSS") - before) * 1024) / Double(known)
        let descriptors = try daemon.descriptorCount()
        print(
            "\(known) files known: \(perInode) bytes each, at most \(memory) MiB resident, "
                + "\(descriptors) descriptors")
        // The record with its file handle and two buckets of the index (IdentityIndexTests), and no more; of fewer files what
        // is there once would be a part.
        if known >= 1_000_000 { #expect((128...136).contains(perInode)) }
        #expect(memory <= 200)
        #expect(descriptors <= 100)

        // They are all still good, those that were seen first too, and no more descriptors after they were used.
        for node in sample { #expect(try guest.getattr(node).attributes.nlink == 1) }
        #expect(try daemon.descriptorCount() <= 100)
        #expect(try daemon.status("VmHWM") / 1024 <= 200)
    }
}
