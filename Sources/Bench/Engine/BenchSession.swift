// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import VhostUser

/// How to reach a daemon and how to use it.
package struct SessionOptions: Sendable {
    package var requestQueues = 1
    /// The largest queue depth of any run.
    package var lanes = 16
    /// Readable when the user wants to end; −1 for never.
    package var stopDescriptor: Int32 = -1
    /// How long the daemon may leave everything unanswered, in milliseconds.
    package var patience: Int32 = 30_000
    /// How long to look for an interrupt before sleeping until it comes, in nanoseconds. 200 µs is the most that KVM does for a
    /// guest that halts (halt_poll_ns, on x86).
    package var haltPoll: Int64 = 200_000

    package init() {}
}

/// One daemon under test: a connection, and a directory of our own in its share, in which each test has one.
///
/// Everything is done through the daemon, so that any will do, wherever it runs.
package final class BenchSession {
    package let options: SessionOptions
    /// The daemon's process, or 0 when it cannot be seen.
    package let process: pid_t
    /// The name of our directory in the share's root.
    package let directoryName: String
    private let client: FuseClient
    private let generator: LoadGenerator
    private let clock: ProcessorClock
    private let directory: NodeID
    private let maximumWrite: UInt32
    /// What the lanes know of the tests that were prepared, by the tests' names.
    private var prepared: [String: [Knowledge]] = [:]

    package static let queueSize = 1024

    /// What is offered at INIT: as Linux, without what would make requests differ from daemon to daemon.
    private static let flags: UInt64 =
        InitFlags.asyncRead | InitFlags.atomicTruncate | InitFlags.bigWrites | InitFlags.autoInvalidateData
        | InitFlags.doReaddirplus | InitFlags.readdirplusAuto | InitFlags.asyncDirectIO
        | InitFlags.parallelDirectoryOps | InitFlags.maxPages | InitFlags.submounts | InitFlags.initExtended

    /// Connects to the daemon at `path` and makes our directory.
    package init(socketPath path: String, _ options: SessionOptions) throws(BenchFailure) {
        self.options = options
        var setup = FrontendOptions()
        setup.requestQueues = options.requestQueues
        setup.queueSize = Self.queueSize
        setup.depth = 1
        setup.bufferCount = options.lanes + 1
        setup.bufferByteCount = max(LaneMemory.byteCount, ForgetSender.byteCount)
        setup.replyTimeout = options.patience
        let frontend: DeviceFrontend
        do throws(VhostUserError) {
            frontend = try DeviceFrontend(connectingTo: path, options: setup)
        } catch {
            throw .handshake(error)
        }
        process = peerProcess(of: frontend.session.connection.descriptor.rawValue)
        clock = ProcessorClock(process: process)
        client = FuseClient(frontend)
        (client.uid, client.gid) = (geteuid(), getegid())
        client.timeout = options.patience
        generator = LoadGenerator(
            frontend, lanes: options.lanes, stop: options.stopDescriptor, patience: options.patience,
            haltPoll: options.haltPoll)
        do throws(Errno) {
            maximumWrite = try client.initialize(flags: Self.flags).maxWrite
        } catch {
            throw .failed("INIT: \(BenchFailure.text(error))")
        }
        directoryName = "virtiofs-bench.\(getpid()).\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        do throws(Errno) {
            directory = NodeID(rawValue: try client.mkdir(.root, Array(directoryName.utf8)).nodeID)
        } catch {
            throw .failed("MKDIR of \(directoryName) in the share: \(BenchFailure.text(error))")
        }
    }

    // MARK: Tests

    /// Makes what a test needs, once.
    private func prepare(_ script: Script) throws(BenchFailure) -> [Knowledge] {
        if let known = prepared[script.name] { return known }
        if script.dataByteCount > maximumWrite {
            throw .unsupported("requests of \(script.dataByteCount) bytes")
        }
        if script.listedEntryCount > 0 && client.agreedFlags & InitFlags.doReaddirplus == 0 {
            throw .unsupported(Opcode.readdirplus.text)
        }
        let root: NodeID
        do throws(Errno) {
            root = NodeID(rawValue: try client.mkdir(directory, Array(script.name.utf8)).nodeID)
        } catch {
            throw .failed("MKDIR: \(BenchFailure.text(error))")
        }
        var once: Window?
        var first = [Knowledge(of: script, directory: root.rawValue)]
        try generator.run(script, script.setup, &first, window: &once)
        var all = Array(repeating: first[0], count: options.lanes)
        try generator.run(
            script, [.mkdir(.directory, .lane, .home)] + script.laneSetup, &all, window: &once)
        prepared[script.name] = all
        return all
    }

    /// Runs a test in `depth` lanes, after making what it needs.
    ///
    /// - Throws: `unsupported` when the daemon lacks something; the session can then be used for other tests. After any
    ///   other failure only `removeTree` may still work.
    package func measure(_ script: Script, depth: Int, _ options: WindowOptions) throws(BenchFailure)
        -> Measurement
    {
        do throws(BenchFailure) {
            var known = Array(try prepare(script).prefix(depth))
            var window: Window? = Window(options, clock: clock)
            let requests = try generator.run(script, script.cycle, &known, window: &window)
            guard let measurement = window?.measurement(requests: requests) else { throw .stopped }
            return measurement
        } catch {
            switch error {
            case .unsupported(let what):
                guard generator.drain() else { throw .failed("\(what): unanswered requests") }
                throw error
            case .stopped: throw error
            case .failed(let what): throw .failed("test \(script.name): \(what)")
            }
        }
    }

    // MARK: The end

    /// Removes our directory with all in it.
    package func removeTree() throws(BenchFailure) {
        guard generator.drain() else {
            throw .failed("\(directoryName) is left in the share: the daemon does not answer")
        }
        do throws(Errno) {
            try empty(directory)
            try client.rmdir(.root, Array(directoryName.utf8))
        } catch {
            throw .failed("\(directoryName) is left in the share: \(BenchFailure.text(error))")
        }
    }

    private func empty(_ node: NodeID) throws(Errno) {
        // Where an entry goes, the places of the others may move: list all, then remove.
        let handle = try client.opendir(node, flags: UInt32(O_DIRECTORY)).handle
        let records = try client.readAll(node, handle, size: Script.listByteCount)
        try client.release(node, handle, directory: true)
        for record in records where record.name != Array(".".utf8) && record.name != Array("..".utf8) {
            if record.dirent.type == UInt32(DT_REG) || record.dirent.type == UInt32(DT_LNK) {
                try client.unlink(node, record.name)
                continue
            }
            // A directory, or a host's file system that does not say.
            let entry = try client.lookup(node, record.name)
            if entry.attributes.mode & S_IFMT == S_IFDIR {
                try empty(NodeID(rawValue: entry.nodeID))
                try client.rmdir(node, record.name)
            } else {
                try client.unlink(node, record.name)
            }
        }
    }
}
