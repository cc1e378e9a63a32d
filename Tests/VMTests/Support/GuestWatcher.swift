// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// Scenarios/watcher.py in a guest: asks it by lines while the guest runs nothing else of ours.
final class GuestWatcher {
    struct Event: Equatable, CustomStringConvertible {
        /// The watched directory.
        var directory: String
        /// IN_CREATE is "CREATE"; several are joined by "+".
        var kinds: String
        var name: String
        /// On the host's monotonic clock, when its line was here.
        var arrival: Int64 = 0

        var description: String { "\(kinds) \(directory)/\(name)" }
    }

    struct Silent: Error, CustomStringConvertible {
        let wanted: String
        let seen: [Event]
        let output: String
        var description: String { "the guest did not say \(wanted), but \(seen.suffix(30)) \(output)" }
    }

    private let toGuest: Int32
    private let fromGuest: Int32
    private let thread: HostOS.Thread
    private var bytes: [UInt8] = []
    private var answers: [String] = []
    /// Events that nobody has asked for yet.
    private(set) var events: [Event] = []
    private var isOver = false

    init(_ guest: TestGuest) throws {
        let folder = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Scenarios"
        let code = try Files.text("\(folder)/watcher.py")
        var (input, output): ([Int32], [Int32]) = ([0, 0], [0, 0])
        _ = try systemCall { pipe2(&input, O_CLOEXEC) }
        _ = try systemCall { pipe2(&output, O_CLOEXEC) }
        (toGuest, fromGuest) = (input[1], output[0])
        nonisolated(unsafe) let machine = guest.machine
        let (read, write) = (input[0], output[1])
        thread = try HostOS.Thread(name: "watcher") {
            var command = guestPython(code)
            command.input = .descriptor(read)
            command.output = .descriptor(write)
            let result = try? machine.execute(command)
            if let text = result?.errorText, !text.isEmpty {
                _ = try? Files.writeAll(write, Array("= \(text.replacing("\n", with: "|"))\n".utf8))
            }
            close(read)
            close(write)
        }
    }

    deinit {
        end()
        close(fromGuest)
    }

    /// Ends the program; the guest can be used otherwise then.
    func end() {
        if isOver { return }
        isOver = true
        close(toGuest)
        thread.join()
    }

    @discardableResult
    func ask(_ line: String, seconds: Int32 = 120) throws -> String {
        try Files.writeAll(toGuest, Array("\(line)\n".utf8))
        let deadline = Deadline(milliseconds: seconds * 1000)
        while answers.isEmpty {
            guard take(deadline) else {
                throw Silent(wanted: "an answer to \(line)", seen: events, output: "")
            }
        }
        return answers.removeFirst()
    }

    /// Waits for an event of this kind, and drops those before it.
    @discardableResult
    func await(_ kind: String, _ name: String, in directory: String, seconds: Int32 = 30) throws -> Event {
        let deadline = Deadline(milliseconds: seconds * 1000)
        var seen: [Event] = []
        while true {
            while !events.isEmpty {
                let event = events.removeFirst()
                seen.append(event)
                let kinds = event.kinds.split(separator: "+").map(String.init)
                if kinds.contains(kind), event.name == name, event.directory == directory { return event }
            }
            guard take(deadline) else {
                throw Silent(wanted: "\(kind) \(directory)/\(name)", seen: seen, output: answers.joined())
            }
        }
    }

    func forgetEvents() { events = [] }

    /// Takes what the guest has said, waiting for it. False: the time is over, or the program.
    private func take(_ deadline: Deadline) -> Bool {
        guard waitReadable(fromGuest, until: deadline) else { return false }
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = read(fromGuest, &chunk, chunk.count)
        guard count > 0 else { return false }
        let now = monotonicNanoseconds()
        bytes += chunk[..<count]
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: bytes[..<end], as: UTF8.self)
            bytes.removeSubrange(...end)
            let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            if line.hasPrefix("= ") {
                answers.append(String(line.dropFirst(2)))
            } else if words.count == 4, words[0] == "event" {
                events.append(Event(directory: words[1], kinds: words[2], name: words[3], arrival: now))
            }
        }
        return true
    }
}

/// python3 of the Debian tree with this program, whose standard input is its own.
private func guestPython(_ code: String) -> GuestCommand {
    GuestCommand(arguments: [
        "/bin/busybox", "chroot", "/mnt/tools", "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8",
        "python3", "-c", code,
    ])
}
