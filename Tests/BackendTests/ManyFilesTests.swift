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

    /// The daemon that was built with these tests.
    private static var daemonPath: String? {
        var path = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &path, path.count)
        guard count > 0 else { return nil }
        let own = String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let candidate = own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/virtiofsd"
        return Glibc.access(candidate, X_OK) == 0 ? candidate : nil
    }

    /// A daemon in a process of its own; it is ended with the object.
    private final class Process {
        let identifier: pid_t

        init(_ arguments: [String]) throws {
            var words = arguments.map { strdup($0) } + [nil]
            defer { for word in words { free(word) } }
            var child: pid_t = 0
            let code = posix_spawn(&child, arguments[0], nil, nil, &words, Glibc.environ)
            guard code == 0 else { throw Errno(rawValue: code) }
            identifier = child
        }

        /// The value of a line of /proc/PID/status, in KiB.
        func status(_ key: String) throws -> Int {
            let file = try #require(fopen("/proc/\(identifier)/status", "r"))
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            while fgets(&line, 256, file) != nil {
                let words = String(cString: line).split(whereSeparator: {
                    $0 == ":" || $0 == "\t" || $0 == " "
                })
                if words.first == Substring(key), words.count > 1, let value = Int(words[1]) { return value }
            }
            throw Errno.ENOENT
        }

        func descriptorCount() throws -> Int {
            let directory = try #require(opendir("/proc/\(identifier)/fd"))
            defer { closedir(directory) }
            var count = -2  // "." and ".."
            while readdir(directory) != nil { count += 1 }
            return count
        }

        deinit {
            kill(identifier, SIGTERM)
            var status: Int32 = 0
            waitpid(identifier, &status, 0)
        }
    }

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

    @Test(.enabled(if: getuid() == 0 && daemonPath != nil, "needs root (file handles) and the built daemon"))
    func aMillionFiles() throws {
        let scratch = try TemporaryDirectory()
        let root = scratch.path + "/share"
        try check(mkdir(root, 0o755))
        try fill(root)
        let socket = scratch.path + "/vhost.sock"
        let daemon = try Process([
            try #require(Self.daemonPath), "--shared-dir", root, "--socket-path", socket,
            "--num-request-queues", "8",
            "--sandbox", "none", "--log-level", "error",
        ])
        #expect(eventually { Glibc.access(socket, F_OK) == 0 })
        var options = FrontendOptions()
        options.requestQueues = 8
        options.depth = 1
        let guest = FuseClient(try DeviceFrontend(connectingTo: socket, options: options))
        _ = try guest.initialize()
        guest.rotatesQueues = true

        var known = 0
        var sample: [NodeID] = []
        for start in stride(from: 0, to: Self.fileCount, by: Self.filesPerDirectory) {
            let directory = try guest.lookup(.root, "\(start)".utf8)
            let handle = try guest.opendir(directory.node).handle
            var offset: UInt64 = 0
            while true {
                let records = try guest.readdir(
                    directory.node, handle, offset: offset, size: 1 << 20, plus: true)
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
        let descriptors = try daemon.descriptorCount()
        print("\(known) files known: at most \(memory) MiB resident, \(descriptors) descriptors")
        #expect(memory <= 200)
        #expect(descriptors <= 100)

        // They are all still good, those that were seen first too, and no more descriptors after they were used.
        for node in sample { #expect(try guest.getattr(node).attributes.nlink == 1) }
        #expect(try daemon.descriptorCount() <= 100)
        #expect(try daemon.status("VmHWM") / 1024 <= 200)
    }
}
