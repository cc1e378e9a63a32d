// SPDX-License-Identifier: Apache-2.0
import AllocationCounter
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing

@testable import Bench

/// The tests of the catalogue on our daemon, for a handful of operations.
@Suite struct SessionTests {
    private final class Rig {
        let share: TemporaryDirectory
        let daemon: DaemonProcess
        let session: BenchSession

        init(queues: Int = 1, lanes: Int = 3) throws {
            share = try TemporaryDirectory(prefix: "bench-share.")
            var configuration = DaemonConfiguration(tag: "bench", directory: share.path)
            configuration.requestQueues = queues
            configuration.options = ["--xattr"]
            daemon = try DaemonProcess(configuration)
            var options = SessionOptions()
            (options.requestQueues, options.lanes) = (queues, lanes)
            session = try BenchSession(socketPath: daemon.socketPath, options)
        }

        /// Everything in the share with what an operation could have changed for good.
        var tree: [String] {
            var lines: [String] = []
            func visit(_ path: String) {
                for name in ((try? Files.names(in: path)) ?? []).sorted() {
                    let child = path + "/" + name
                    var status = stat()
                    guard lstat(child, &status) == 0 else { continue }
                    lines.append(
                        "\(child) \(status.st_mode) \(status.st_uid):\(status.st_gid) \(status.st_nlink)"
                            + (status.st_mode & S_IFMT == S_IFREG ? " \(status.st_size)" : ""))
                    if status.st_mode & S_IFMT == S_IFDIR { visit(child) }
                }
            }
            visit(share.path)
            return lines
        }
    }

    private static func few(_ operations: Int) -> WindowOptions {
        WindowOptions(warmUp: 0, duration: 0, minimumOperations: operations)
    }

    /// How many requests of ours an operation takes; the listings fit into one reply and end with an empty one, but for
    /// the one of `entries`.
    private static let entries = 300
    private static let scripts: [(script: Script, requests: Int)] =
        Catalogue.all.map { script in
            // 193 entries of 168 bytes fit into 32 KiB with the two dots.
            if script.name == "readdirplus" {
                return (Catalogue.readdirplus(entries: entries), 1 + 3 + entries + 1)
            }
            let listings = script.cycle.filter { if case .list = $0 { true } else { false } }.count
            return (script, script.cycle.count + listings)
        }

    @Test(arguments: scripts.map(\.script.name)) func leavesEverythingAsItWas(name: String) throws {
        let (script, requests) = try #require(Self.scripts.first { $0.script.name == name })
        let rig = try Rig()
        let first = try rig.session.measure(script, depth: 1, Self.few(2))
        let before = rig.tree
        #expect(!before.isEmpty)
        let second = try rig.session.measure(script, depth: 3, Self.few(7))
        #expect(rig.tree == before)
        for measurement in [first, second] {
            #expect(measurement.requests == measurement.operationsOfRun * requests)
            #expect(measurement.p50 > 0 && measurement.p99 >= measurement.p50)
            #expect(measurement.operationsPerSecond > 0)
        }
        #expect(second.operations >= 7 && second.operationsOfRun >= 8)
        try rig.session.removeTree()
        #expect(rig.tree.isEmpty)
    }

    @Test func lanesAreSpreadOverTheQueues() throws {
        let rig = try Rig(queues: 2, lanes: 4)
        let script = try #require(Catalogue.select(["create"]).scripts.first)
        #expect(try rig.session.measure(script, depth: 4, Self.few(40)).operations >= 40)
        try rig.session.removeTree()
        #expect(rig.tree.isEmpty)
    }

    @Test func theDaemonIsFoundAndItsTimeCounted() throws {
        let rig = try Rig()
        #expect(rig.session.process > 0 && rig.session.process != getpid())
        let script = try #require(Catalogue.select(["create"]).scripts.first)
        let measurement = try rig.session.measure(script, depth: 1, Self.few(50))
        #expect(try #require(measurement.processorTimePerOperation) > 0)
        try rig.session.removeTree()
    }

    @Test func twoSessionsHaveTwoDirectories() throws {
        let rig = try Rig()
        let name = rig.session.directoryName
        #expect(name.hasPrefix("virtiofs-bench.\(getpid())."))
        var status = stat()
        #expect(lstat("\(rig.share.path)/\(name)", &status) == 0)
        try rig.session.removeTree()
        #expect(lstat("\(rig.share.path)/\(name)", &status) != 0)
    }

    @Test func aDaemonThatIsKilledIsSaid() throws {
        let rig = try Rig()
        let script = try #require(Catalogue.select(["getattr"]).scripts.first)
        _ = try rig.session.measure(script, depth: 1, Self.few(1))
        rig.daemon.process.signal(SIGKILL)
        _ = rig.daemon.process.wait(milliseconds: 10_000)
        let error = #expect(throws: BenchFailure.self) {
            try rig.session.measure(script, depth: 1, Self.few(1))
        }
        #expect(
            error
                == .failed(
                    "test getattr: GETATTR: the daemon has ended the connection (Connection reset by peer (error 104))"
                ))
        let left = #expect(throws: BenchFailure.self) { try rig.session.removeTree() }
        #expect(
            left
                == .failed("\(rig.session.directoryName) is left in the share: the daemon does not answer"))
    }

    /// Counted on this thread, which is the load generator's.
    @Test func operationsTakeNothingFromTheHeap() throws {
        let rig = try Rig()
        let thread = gettid()
        for name in ["getattr", "lookup-miss", "create", "read-4k", "write-4k", "xattr", "git-status"] {
            let script = try #require(Catalogue.select([name]).scripts.first)
            _ = try rig.session.measure(script, depth: 3, Self.few(1))
            func count(_ operations: Int) throws -> Int64 {
                let before = allocation_count(thread)
                _ = try rig.session.measure(script, depth: 3, Self.few(operations))
                return allocation_count(thread) - before
            }
            _ = try count(3)
            #expect(try count(3) > 0, "this thread's allocations are counted")
            #expect(try count(3) == count(30), "\(name)")
        }
        try rig.session.removeTree()
    }
}
