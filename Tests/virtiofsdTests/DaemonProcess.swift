// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import Glibc
import HostOS
import Testing

/// The built daemon as a child process, with a directory of its own to share and to listen in.
final class DaemonProcess {
    let directory: String
    var socket: String { directory + "/socket" }
    var share: String { directory + "/share" }
    let child: ChildProcess
    private let errors: OwnedDescriptor
    private var unread = ""
    /// The lines that it has said and that were waited past.
    private(set) var said: [String] = []

    /// Starts it on `share` and `socket` with `more`, and waits until it says that it is ready.
    ///
    /// - Parameters:
    ///   - command: the daemon, or a program that becomes the daemon with its arguments, as whoever it likes.
    ///   - shared: what to share instead of `share`.
    ///   - descriptors: are open in the daemon beside the standard ones.
    init(
        _ more: [String] = [], command: [String] = [executable], share shared: String? = nil,
        descriptors: [Int32] = []
    ) throws {
        directory = try makeTemporaryDirectory()
        _ = mkdir(directory + "/share", 0o755)
        for path in [directory, directory + "/share"] where command != [executable] { chmod(path, 0o777) }
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw Errno(rawValue: errno) }
        errors = OwnedDescriptor(adopting: ends[0])
        let input = OwnedDescriptor(adopting: open("/dev/null", O_RDWR | O_CLOEXEC))
        let output = OwnedDescriptor(adopting: ends[1])
        let words =
            command + [
                "--shared-dir", shared ?? directory + "/share", "--socket-path", directory + "/socket",
            ]
            + more
        child = try ChildProcess(
            program: words[0], arguments: Array(words.dropFirst()),
            descriptors: [input.rawValue, input.rawValue, output.rawValue] + descriptors)
        try waitForLine("Waiting for vhost-user socket connection")
    }

    deinit {
        child.signal(SIGKILL)
        _ = child.wait(milliseconds: 10_000)
        removeTree(directory)
    }

    /// Reads what the daemon says until a line has `text`.
    func waitForLine(_ text: String) throws {
        let deadline = Deadline(milliseconds: 30_000)
        while true {
            while let end = unread.firstIndex(of: "\n") {
                let line = unread[..<end]
                said.append(String(line))
                unread = String(unread[unread.index(after: end)...])
                if line.contains(text) { return }
            }
            var chunk = [UInt8](repeating: 0, count: 4096)
            let isReady =
                waitReadable(errors.rawValue, timeoutMilliseconds: deadline.remainingMilliseconds) != 0
            let count = isReady ? read(errors.rawValue, &chunk, chunk.count) : 0
            guard count > 0 else { throw Silent(text: text, before: unread) }
            unread += String(decoding: chunk[..<count], as: UTF8.self)
        }
    }

    struct Silent: Error {
        let text: String
        let before: String
    }
}

/// The process that serves a front-end.
func peer(of frontend: DeviceFrontend) -> pid_t {
    servingProcess(of: launchedProcess(of: frontend))
}

/// The process that listens: the one that a launcher has started. Our child is its guard.
func launchedProcess(of frontend: DeviceFrontend) -> pid_t {
    var credentials = ucred()
    var size = socklen_t(MemoryLayout<ucred>.size)
    let socket = frontend.session.connection.descriptor.rawValue
    #expect(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0)
    return credentials.pid
}

/// The process that serves, given the one that has been started: its child, or in --sandbox none itself.
func servingProcess(of launched: pid_t) -> pid_t {
    let children = (try? Files.text("/proc/\(launched)/task/\(launched)/children")) ?? ""
    return children.split(separator: " ").first.flatMap { pid_t($0) } ?? launched
}

/// The daemon beside the running test bundle.
let executable: String = {
    guard let path = realpath("/proc/self/exe", nil) else { return "virtiofsd" }
    defer { free(path) }
    return String(cString: path).split(separator: "/", omittingEmptySubsequences: false).dropLast()
        .joined(separator: "/") + "/virtiofsd"
}()

func makeTemporaryDirectory() throws -> String {
    var template = Array("/tmp/virtiofsd-test.XXXXXX\0".utf8CString.dropLast())
    guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
    return String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Removes a directory of ours whose children are files, sockets and directories of files.
func removeTree(_ path: String) {
    for name in (try? names(in: path)) ?? [] {
        let child = path + "/" + name
        if unlink(child) != 0 { removeTree(child) }
    }
    rmdir(path)
}

private func names(in path: String) throws -> [String] {
    guard let directory = opendir(path) else { throw Errno(rawValue: errno) }
    defer { closedir(directory) }
    var result: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { result.append(name) }
    }
    return result
}
