// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A program of ours that listens on a Unix socket; it ends with this value.
package final class ListeningProcess {
    private static let startTimeoutMilliseconds: Int32 = 10_000

    package let process: ChildProcess
    package let socketPath: String
    private let messages: OwnedDescriptor

    /// Starts `program` and waits until it listens at `socketPath`, where nothing may be yet.
    ///
    /// - Parameters:
    ///   - subject: what is shared, for the error message.
    ///   - verbose: it writes to our standard error; otherwise `messageText` has what it wrote.
    package init(
        program: String, arguments: [String], socketPath: String, subject: String, verbose: Bool = false
    ) throws(StartupError) {
        do throws(Errno) {
            let messages = try makeMemoryFile(name: "messages", byteCount: 0)
            let null = OwnedDescriptor(
                adopting: try systemCall { unsafe open("/dev/null", O_RDONLY | O_CLOEXEC) })
            let target = verbose ? STDERR_FILENO : messages.rawValue
            process = try ChildProcess(
                program: program, arguments: arguments, descriptors: [null.rawValue, target, target])
            self.messages = messages
        } catch {
            throw StartupError(operation: "start", subject: program, reason: describe(error))
        }
        self.socketPath = socketPath
        try awaitListening(program, subject)
    }

    deinit { process.stop(graceMilliseconds: 2000) }

    /// What the program wrote, unless it wrote to our standard error.
    package var messageText: String {
        String(decoding: (try? Files.readAllFromStart(messages.rawValue)) ?? [], as: UTF8.self)
    }

    /// We look instead of connecting, as many daemons take the first connection for the VMM.
    private func awaitListening(_ program: String, _ subject: String) throws(StartupError) {
        let deadline = Deadline(milliseconds: Self.startTimeoutMilliseconds)
        var timesUnlisted = 0
        while true {
            switch place {
            case .accepting: return
            // One that was bound under another name, as ours is, listens since it has this one. One that is just being
            // bound here is not listed either, but not for long.
            case .unlisted: timesUnlisted += 1
            case .missing, .bound: timesUnlisted = 0
            }
            if timesUnlisted == 3 { return }
            let pause = Deadline(milliseconds: 5).earlier(deadline)
            guard !waitReadable(process.endDescriptor, until: pause), !deadline.hasPassed else {
                let lines = messageText.split(separator: "\n")
                let said = lines.last.map { ": \($0)" } ?? ""
                let what = process.end == nil ? "it does not listen on its socket" : "it ended at once"
                throw StartupError(
                    operation: "share", subject: subject, reason: "\(program): \(what)\(said)")
            }
        }
    }

    private enum Place { case missing, unlisted, bound, accepting }

    /// What is to be seen of the socket. /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path; the flag 0x10000
    /// is "accepts connections".
    private var place: Place {
        guard Files.isReadable(socketPath) else { return .missing }
        let table = (try? Files.text("/proc/net/unix")) ?? ""
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 7)
            guard fields.count == 8, fields[7] == socketPath else { continue }
            return fields[3] == "00010000" ? .accepting : .bound
        }
        return .unlisted
    }
}
