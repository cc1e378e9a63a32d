// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Errors
import Glibc
import GuestAgent
import HostOS

/// The program in the guest.
struct VirtiofsAgent: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "virtiofs-agent",
        abstract:
            "Shows a guest at once what others change on its virtio-fs share, and tells its file watchers.",
        discussion: """
            Runs as root of the guest, in the foreground until SIGTERM, one for each mount. The daemon of the share must run with \
            --cache shared and --version-table; it lets the guest cache long for as long as the agent works. While it runs \
            the mount is busy.
            """)

    @Argument(help: "Where the share is mounted.")
    var mountpoint: String

    func run() throws {
        do throws(StartupError) { try Agent.run(at: mountpoint) } catch {
            _ = try? Files.writeAll(STDERR_FILENO, Array("virtiofs-agent: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }
}

@main
enum Main {
    nonisolated static func main() { VirtiofsAgent.main() }
}
