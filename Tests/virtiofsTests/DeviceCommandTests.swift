// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// What `virtiofs device` and `virtiofs mount` say to people who want what cannot be, and with which status they end.
@Suite struct DeviceCommandTests {
    /// Runs `virtiofs`, which has to end by itself.
    private func run(_ arguments: [String]) throws -> (status: Int32?, text: String) {
        let output = try makeMemoryFile(name: "output", byteCount: 0)
        let null = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
        let process = try ChildProcess(
            program: virtiofs, arguments: arguments,
            descriptors: [null.rawValue, output.rawValue, output.rawValue])
        let status = process.wait(milliseconds: 30_000)?.shellStatus
        if status == nil { process.stop(graceMilliseconds: 2000) }
        return (status, String(decoding: try Files.readAllFromStart(output.rawValue), as: UTF8.self))
    }

    /// A device for a daemon of ours that shares an empty directory.
    private func device(
        _ options: [String], windowMebibytes: Int? = nil
    ) throws -> (status: Int32?, text: String) {
        let directory = try TemporaryDirectory(prefix: "device-")
        var configuration = DaemonConfiguration(tag: "own", directory: directory.path)
        configuration.windowMebibytes = windowMebibytes
        configuration.options = ["--sandbox=none"]
        let daemon = try DaemonProcess(configuration)
        return try run(
            ["device", "--vfio-user-socket=\(directory.path)/device", "--socket-path=\(daemon.socketPath)"]
                + options)
    }

    @Test(arguments: [["device", "--vfio-user-socket=/nonexistent/device"], ["mount", "/nonexistent"]])
    func whichDaemon(command: [String]) throws {
        let one = "Give either --socket-path or --shared-dir."
        let started = "--daemon and daemon options go with --shared-dir."
        for (options, reason): ([String], String) in [
            ([], one), (["--daemon=virtiofsd"], one), (["--socket-path=s", "--shared-dir=/tmp"], one),
            (["--socket-path=s", "--daemon=virtiofsd"], started),
            (["--socket-path=s", "--", "--xattr"], started),
        ] {
            let end = try run(command + options)
            #expect(end.status == 64 && end.text.hasPrefix("Error: \(reason)\n"), "\(options): \(end)")
        }
        let end = try run(command + ["--socket-path=/nonexistent/socket"])
        #expect(end.status == 1, "\(end)")
        if command[0] == "device" {
            #expect(
                end.text
                    == "virtiofs device: cannot connect to /nonexistent/socket: No such file or directory\n")
        }
    }

    @Test func aDirectoryNeedsATag() throws {
        let end = try run(["device", "--vfio-user-socket=/nonexistent/device", "--shared-dir=/tmp"])
        #expect(end.status == 64 && end.text.hasPrefix("Error: --shared-dir needs a --tag.\n"), "\(end)")
    }

    @Test func aDaemonWithoutATag() throws {
        let end = try device([])
        #expect(end.status == 1)
        #expect(
            end.text
                == "virtiofs device: cannot make a device of the daemon: it says no tag, by which the guest would mount it; "
                + "give a --tag\n")
    }

    @Test func aDaemonWithTooFewQueues() throws {
        let end = try device(["--tag=t", "--request-queues=4"])
        #expect(end.status == 1)
        #expect(
            end.text
                == "virtiofs device: cannot make a device of the daemon: it has 1 request queue, 4 are wanted; "
                + "start virtiofsd with --num-request-queues 4, or give a smaller --request-queues\n")
    }

    /// The guest would map where the daemon has nothing.
    @Test(
        .enabled(if: requirementsMet("DeviceCommandTests.window", .root, .passthrough)),
        arguments: [nil, 64] as [Int?])
    func aWindowOfAnotherSize(daemons: Int?) throws {
        let end = try device(["--tag=t", "--dax-window=32M"], windowMebibytes: daemons)
        #expect(end.status == 1)
        #expect(
            end.text
                == "virtiofs device: cannot show a DAX window of 32M: the daemon has \(daemons.map { "one of \($0)M" } ?? "none")"
                + "; start virtiofsd with --dax-window 32M as well\n")
    }
}
