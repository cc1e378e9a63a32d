// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import Guest

@Suite struct DaemonProcessTests {
    private var configuration: DaemonConfiguration {
        var configuration = DaemonConfiguration(tag: "t", directory: "/d")
        configuration.cache = "never"
        configuration.options = ["--xattr"]
        return configuration
    }

    @Test func kindsByTheirHelp() {
        #expect(DaemonKind(help: "    -o source=PATH             shared directory tree") == .c)
        #expect(DaemonKind(help: "--shared-dir <SHARED_DIR>") == .rust)
        #expect(DaemonKind(help: "--shared-dir DIR\n--num-request-queues N") == .swift)
    }

    @Test func cArguments() throws {
        let expected = ["--socket-path=/s", "-o", "source=/d", "-o", "cache=none", "--xattr"]
        #expect(try configuration.arguments(kind: .c, socketPath: "/s", machine: .qemu) == expected)
        var readOnly = configuration
        readOnly.readOnly = true
        #expect(throws: StartupError.self) {
            try readOnly.arguments(kind: .c, socketPath: "/s", machine: .qemu)
        }
        #expect(throws: StartupError.self) {
            try configuration.arguments(kind: .c, socketPath: "/s", machine: .uml)
        }
    }

    @Test func rustArguments() throws {
        var readOnly = configuration
        readOnly.readOnly = true
        #expect(
            try readOnly.arguments(kind: .rust, socketPath: "/s", machine: .qemu)
                == ["--socket-path=/s", "--shared-dir=/d", "--readonly", "--cache=never", "--xattr"])
        readOnly.requestQueues = 2
        #expect(throws: StartupError.self) {
            try readOnly.arguments(kind: .rust, socketPath: "/s", machine: .qemu)
        }
    }

    @Test func ourArguments() throws {
        var queues = configuration
        queues.requestQueues = 4
        queues.cache = nil
        #expect(
            try queues.arguments(kind: .swift, socketPath: "/s", machine: .uml)
                == ["--socket-path=/s", "--shared-dir=/d", "--tag=t", "--num-request-queues=4", "--xattr"])
    }

    @Test func windows() throws {
        var configuration = DaemonConfiguration(tag: "t", directory: "/d")
        configuration.windowMebibytes = 64
        configuration.dax = .inode
        #expect(
            try configuration.arguments(kind: .swift, socketPath: "/s", machine: .qemu) == [
                "--socket-path=/s", "--shared-dir=/d", "--tag=t", "--dax-window=64M",
                "--num-request-queues=1",
            ])
        for kind in [DaemonKind.rust, .c] {
            let error = #expect(throws: StartupError.self) {
                try configuration.arguments(kind: kind, socketPath: "/s", machine: .qemu)
            }
            #expect(error?.reason == "this virtiofsd has no DAX window")
        }
    }

    /// Nothing is added to what an option decides, nor for other daemons.
    @Test func theGuestsRootIsTheUser() throws {
        var configuration = DaemonConfiguration(tag: "t", directory: "/d")
        configuration.guestRoot = (1000, 100)
        let base = ["--socket-path=/s", "--shared-dir=/d"]
        let ours = base + ["--num-request-queues=1"]
        func arguments(_ kind: DaemonKind, _ options: [String]) throws -> [String] {
            configuration.options = options
            return try configuration.arguments(kind: kind, socketPath: "/s", machine: .qemu)
        }
        #expect(
            try arguments(.swift, ["--xattr"])
                == ours + ["--uid-map=:0:1000:1:", "--gid-map=:0:100:1:", "--xattr"])
        for option in ["--sandbox=none", "--uid-map=:0:1000:1:", "--gid-map=:0:100:1:", "-osandbox=none"] {
            #expect(try arguments(.swift, [option]) == ours + [option])
        }
        #expect(try arguments(.rust, []) == base)
    }

    @Test func missingDirectoryIsSaid() {
        let error = #expect(throws: StartupError.self) {
            try DaemonProcess(DaemonConfiguration(tag: "t", directory: "/nonexistent"))
        }
        #expect(error?.description == "cannot share /nonexistent: it is not a directory")
    }

    @Test func daemonThatEndsAtOnceIsSaid() {
        var configuration = DaemonConfiguration(tag: "t", directory: "/")
        configuration.program = "/bin/false"
        let error = #expect(throws: StartupError.self) { try DaemonProcess(configuration) }
        #expect(error?.reason == "/bin/false: it ended at once")
    }

    @Test func missingDaemonIsSaid() {
        var configuration = DaemonConfiguration(tag: "t", directory: "/")
        configuration.program = "/nonexistent/virtiofsd"
        #expect(throws: StartupError.self) { try DaemonProcess(configuration) }
    }
}
