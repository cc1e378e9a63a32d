// SPDX-License-Identifier: Apache-2.0
import Errors
import Guest
import HostOS

/// How to start a daemon for a comparison: words in which `{socket}` and `{dir}` stand for what it is to use.
package struct PeerCommand: Equatable, Sendable {
    package let name: String
    package let words: [String]

    package init(name: String, words: [String]) {
        self.name = name
        self.words = words
    }

    /// NAME=COMMAND, the command's words separated by blanks.
    package init(parsing text: String) throws(StartupError) {
        func refuse(_ reason: String) -> StartupError {
            StartupError(
                operation: "use", subject: "the peer \(text)", reason: reason,
                hint: "write NAME=PROGRAM … {socket} … {dir}")
        }
        guard let equals = text.firstIndex(of: "=") else { throw refuse("there is no =") }
        name = String(text[..<equals])
        words = text[text.index(after: equals)...].split(separator: " ").map(String.init)
        guard !name.isEmpty, !name.contains(where: \.isWhitespace) else { throw refuse("it has no name") }
        guard !words.isEmpty else { throw refuse("it has no command") }
        for place in ["{socket}", "{dir}"] where !words.contains(where: { $0.contains(place) }) {
            throw refuse("\(place) is missing")
        }
    }

    /// The command for a socket and a directory.
    package func filled(socket: String, directory: String) -> [String] {
        words.map { word in
            word.split(separator: "{socket}", omittingEmptySubsequences: false)
                .map {
                    $0.split(separator: "{dir}", omittingEmptySubsequences: false).joined(
                        separator: directory)
                }
                .joined(separator: socket)
        }
    }

    // MARK: The ones we know

    /// Our daemon with the defaults of the others: cache=auto, xattrs.
    package static func ours(program: String, queues: Int) -> PeerCommand {
        PeerCommand(
            name: "ours",
            words: [
                program, "--socket-path={socket}", "--shared-dir={dir}", "--sandbox=none", "--cache=auto",
                "--xattr", "--num-request-queues=\(queues)",
            ])
    }

    static func rust(program: String) -> PeerCommand {
        PeerCommand(
            name: "rust",
            words: [
                program, "--socket-path={socket}", "--shared-dir={dir}", "--sandbox=none", "--cache=auto",
                "--xattr",
            ])
    }

    static func c(program: String) -> PeerCommand {
        PeerCommand(
            name: "c",
            words: [
                program, "--socket-path={socket}", "-o", "source={dir}", "-o", "sandbox=chroot", "-o",
                "cache=auto", "-o", "xattr",
            ])
    }

    /// The peers that this machine has.
    package static func found() -> [PeerCommand] {
        var peers: [PeerCommand] = []
        if let program = [Lab.rustDaemon, "/usr/libexec/virtiofsd"].first(where: { Files.program($0) != nil })
        {
            peers.append(rust(program: program))
        }
        if let program = Files.program(Lab.cDaemon) { peers.append(c(program: program)) }
        return peers
    }
}
