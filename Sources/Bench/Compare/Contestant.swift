// SPDX-License-Identifier: Apache-2.0
import Errors
import Guest
import HostOS

/// A daemon that we have started on a fresh directory of its own, and our session with it.
package final class Contestant {
    package let name: String
    package let facts: DaemonFacts
    let session: BenchSession
    private let listener: ListeningProcess
    private let directory: TemporaryDirectory

    /// - Parameter parent: where the directory is made.
    package init(_ command: PeerCommand, in parent: String?, _ options: SessionOptions) throws(BenchFailure) {
        name = command.name
        do throws(Errno) {
            directory = try TemporaryDirectory(prefix: "virtiofs-bench.", in: parent)
            try Files.makeDirectories(directory.path + "/share")
        } catch {
            throw .failed("cannot make a directory in \(parent ?? "/tmp"): \(describe(error))")
        }
        let socket = directory.path + "/socket"
        let words = command.filled(socket: socket, directory: directory.path + "/share")
        do throws(StartupError) {
            guard let program = Files.program(words[0]) else {
                throw StartupError(operation: "find", subject: words[0], reason: "there is no such program")
            }
            listener = try ListeningProcess(
                program: program, arguments: Array(words.dropFirst()), socketPath: socket,
                subject: "a directory with \(name)")
        } catch {
            throw .failed("\(error)")
        }
        do throws(BenchFailure) { session = try BenchSession(socketPath: socket, options) } catch {
            throw .failed("\(name): \(error)")
        }
        facts = DaemonFacts(
            name: name, version: Self.version(words[0]), command: words,
            requestQueues: options.requestQueues)
    }

    /// The first line of what the program says of itself.
    private static func version(_ program: String) -> String? {
        guard let result = try? ChildProcess.run(Files.program(program) ?? program, ["--version"]) else {
            return nil
        }
        let text = String(decoding: result.output + result.errors, as: UTF8.self)
        return text.split(separator: "\n").first.map(String.init)
    }

    /// What a failure of this daemon's is worth saying: also how it ended, if it has, and its last words.
    func explain(_ failure: BenchFailure) -> BenchFailure {
        guard case .failed(let what) = failure else { return failure }
        var line = "\(name): \(what)"
        if let end = listener.process.wait(milliseconds: 100) { line += "; it has ended (\(end))" }
        if let last = listener.messageText.split(separator: "\n").last { line += "; it said: \(last)" }
        return .failed(line)
    }
}
