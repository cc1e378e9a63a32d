// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// The words a person uses around the daemon.
struct Virtiofs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "virtiofs", abstract: "Tools around virtiofsd.",
        subcommands: [VM.self, MountCommand.self, DeviceCommand.self, BenchCommand.self])
}

@main
enum Main {
    nonisolated static func main() { Virtiofs.main() }
}
