// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Testing

/// `virtiofs bench` as a person calls it.
@Suite struct CommandTests {
    private static let folder: String = {
        let own = (try? Files.ownProgram()) ?? ""
        return String(own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex))
    }()
    private static let program = folder + "/virtiofs"

    private func run(_ arguments: String...) throws -> (
        end: ChildProcess.End, output: String, errors: String
    ) {
        let result = try ChildProcess.run(Self.program, ["bench"] + arguments)
        return (
            result.end, String(decoding: result.output, as: UTF8.self),
            String(decoding: result.errors, as: UTF8.self)
        )
    }

    @Test func theListNamesTheTests() throws {
        let result = try run("--list")
        #expect(result.end == .exited(0) && result.errors.isEmpty)
        #expect(result.output.contains("lookup-miss  LOOKUP of a name that is not there\n"))
    }

    @Test(arguments: [
        [], ["--compare", "--socket-path=/s"], ["--socket-path=/s", "--peer=a=b {socket} {dir}"],
        ["--socket-path=/s", "--plot=x.svg"], ["--compare", "--tests=nonsense"],
        ["--compare", "--tests=a,,b"],
        ["--compare", "--queue-depth=0"], ["--compare", "--queue-depth=1,x"], ["--compare", "--seconds=0"],
        ["--compare", "--operations=0"], ["--compare", "--rounds=0"], ["--compare", "--queues=65"],
        ["--compare", "--timeout=0"],
    ])
    func whatMakesNoSenseIsRefused(arguments: [String]) throws {
        let result = try ChildProcess.run(Self.program, ["bench"] + arguments)
        #expect(result.end == .exited(64))
        #expect(String(decoding: result.errors, as: UTF8.self).hasPrefix("Error: "))
    }

    @Test func nobodyListens() throws {
        let result = try run("--socket-path=/nonexistent/socket")
        #expect(result.end == .exited(1) && result.output.isEmpty)
        #expect(
            result.errors == "virtiofs bench: the connection: No such file or directory (error 2)\n")
    }

    @Test func aDaemonThatIsRunning() throws {
        let share = try TemporaryDirectory(prefix: "bench-share.")
        var configuration = DaemonConfiguration(tag: "t", directory: share.path)
        configuration.options = ["--sandbox=none"]
        let daemon = try DaemonProcess(configuration)
        let result = try run(
            "--socket-path=\(daemon.socketPath)", "--tests=getattr,xattr", "--queue-depth=2", "--seconds=0.01"
        )
        #expect(result.end == .exited(0) && result.errors.isEmpty)
        let lines = result.output.split(separator: "\n")
        #expect(
            lines[0].split(separator: " ") == ["test", "depth", "daemon", "ops/s", "p50", "p99", "CPU/op"])
        #expect(lines[1].hasPrefix("getattr      2  daemon  "))
        // It was started without --xattr.
        #expect(lines.last == "xattr: daemon does not offer SETXATTR")
        #expect(try Files.names(in: share.path) == [])
    }

    @Test func twoOfOursSideBySide() throws {
        let parent = try TemporaryDirectory(prefix: "bench-parent.")
        let peer = "twin=\(Self.folder)/virtiofsd --socket-path={socket} --shared-dir={dir} --sandbox=none"
        let (plot, document) = (parent.path + "/plot.svg", parent.path + "/table.md")
        let result = try run(
            "--compare", "--shared-dir=\(parent.path)", "--peer", peer, "--tests=statfs", "--queue-depth=1",
            "--seconds=0.01", "--rounds=2", "--json", "--plot=\(plot)", "--markdown=\(document)")
        #expect(result.end == .exited(0))
        #expect(result.output.contains("\"name\": \"ours\"") && result.output.contains("\"name\": \"twin\""))
        #expect(try Files.text(plot).contains("statfs, depth 1</text>"))
        let table = try Files.text(document)
        #expect(table.contains("\n| statfs | 1 | "))
        // No place on this machine.
        #expect(!table.contains("/tmp") && !table.contains("virtiofsd --"))
        // Nothing else is left.
        #expect(try Files.names(in: parent.path).sorted() == ["plot.svg", "table.md"])
    }

    @Test func aPeerThatCannotStart() throws {
        let parent = try TemporaryDirectory(prefix: "bench-parent.")
        let result = try run(
            "--compare", "--shared-dir=\(parent.path)", "--peer", "bad=/bin/false {socket} {dir}",
            "--tests=statfs")
        #expect(result.end == .exited(1) && result.output.isEmpty)
        #expect(
            result.errors
                == "virtiofs bench: cannot share a directory with bad: /bin/false: it ended at once\n")
        #expect(try Files.names(in: parent.path) == [])
    }

    @Test func aSignalEndsItAndLeavesNothing() throws {
        let parent = try TemporaryDirectory(prefix: "bench-parent.")
        let null = OwnedDescriptor(adopting: open("/dev/null", O_RDWR | O_CLOEXEC))
        let child = try ChildProcess(
            program: Self.program,
            arguments: [
                "bench", "--compare", "--shared-dir=\(parent.path)", "--tests=getattr", "--queue-depth=1",
                "--seconds=3600",
            ], descriptors: [null.rawValue, null.rawValue, null.rawValue])
        // It has begun when a daemon's share has something in it.
        let deadline = Deadline(milliseconds: 60_000)
        func hasBegun() -> Bool {
            ((try? Files.names(in: parent.path)) ?? []).contains { name in
                ((try? Files.names(in: "\(parent.path)/\(name)/share")) ?? []).contains { inner in
                    Files.isDirectory("\(parent.path)/\(name)/share/\(inner)/getattr")
                }
            }
        }
        while !hasBegun(), !deadline.hasPassed {
            _ = waitReadable(child.endDescriptor, timeoutMilliseconds: 10)
        }
        #expect(child.end == nil)
        child.signal(SIGINT)
        #expect(child.wait(milliseconds: 60_000) == .exited(130))
        #expect(try Files.names(in: parent.path) == [])
    }
}
