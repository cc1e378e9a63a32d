// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing
import VhostUser

/// The front-end against every daemon there is: it must not matter whose it is.
@Suite struct PeerTests {
    enum Peer: String, CaseIterable {
        case own, rust, c

        var program: String? {
            switch self {
            case .own: nil
            case .rust: Lab.rustDaemon
            case .c: Lab.cDaemon
            }
        }
        var options: [String] {
            switch self {
            case .own, .rust: ["--sandbox=none"]
            case .c: ["-o", "sandbox=chroot", "-o", "xattr"]
            }
        }
    }

    /// Those of this machine; what is missing is said once.
    static let peers: [Peer] = {
        var peers: [Peer] = [.own]
        if requirementsMet("PeerTests with the Rust daemon", .lab) { peers.append(.rust) }
        if requirementsMet("PeerTests with the C daemon", .cDaemon, .root) { peers.append(.c) }
        return peers
    }()

    /// A daemon over a directory with one file.
    private final class Bench {
        let directory: TemporaryDirectory
        let daemon: DaemonProcess

        init(_ peer: Peer, queues: Int = 1) throws {
            directory = try TemporaryDirectory(prefix: "front-")
            var configuration = DaemonConfiguration(tag: "peer", directory: directory.path)
            configuration.program = peer.program
            configuration.requestQueues = peer == .own ? queues : 1
            configuration.options = peer.options
            daemon = try DaemonProcess(configuration)
            try write(Array("hello, daemon".utf8), to: "file")
        }

        private func write(_ bytes: [UInt8], to name: String) throws {
            let path = directory.path + "/" + name
            let number = try systemCall { () -> Int32 in open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644) }
            let file = OwnedDescriptor(adopting: number)
            try Files.writeAll(file.rawValue, bytes)
        }
    }

    /// INIT, then LOOKUP, OPEN, READ, WRITE and what the host sees of it, on every queue.
    private func use(_ frontend: DeviceFrontend, of bench: Bench) throws {
        let client = FuseClient(frontend)
        #expect(try client.initialize().major == 7)
        for queue in frontend.queues.dropFirst() {
            client.queue = queue.index
            let node = try client.lookup(.root, "file".utf8).node
            let handle = try client.open(node, flags: UInt32(O_RDWR)).handle
            #expect(try client.read(node, handle, size: 100) == Array("hello, daemon".utf8))
            // Larger than a page and not a multiple of one: several descriptors each way.
            let data = (0..<300_001).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ queue.index) }
            #expect(try client.write(node, handle, data) == data.count)
            #expect(try client.read(node, handle, size: 1 << 19) == data)
            #expect(try client.getattr(node).attributes.size == UInt64(data.count))
            _ = try client.truncate(node, to: 0)
            #expect(try client.write(node, handle, Array("hello, daemon".utf8)) == 13)
            try client.release(node, handle)
            // A name that is not there is an error, or an entry that says so.
            let missing = try? client.lookup(.root, "nothing".utf8)
            #expect(missing == nil || missing?.nodeID == 0)
            try client.forget(node)
        }
        let text = try Files.text(bench.directory.path + "/file")
        #expect(text == "hello, daemon")
    }

    @Test(arguments: PeerTests.peers, [VirtioFeatures.ringFeatures, [.version1]])
    func requestsOnOneQueue(peer: Peer, features: VirtioFeatures) throws {
        let bench = try Bench(peer)
        var options = FrontendOptions()
        options.features = features
        try use(try DeviceFrontend(connectingTo: bench.daemon.socketPath, options: options), of: bench)
    }

    /// As many queues as the daemon has, up to four, of the largest size; one more than it has is refused.
    @Test(arguments: PeerTests.peers) func allItsQueues(peer: Peer) throws {
        let bench = try Bench(peer, queues: 4)
        var options = FrontendOptions()
        options.requestQueues = 1000
        options.depth = 0
        var offered = 0
        do throws(VhostUserError) {
            _ = try DeviceFrontend(connectingTo: bench.daemon.socketPath, options: options)
        } catch {
            guard case .tooFewQueues(1000, let count) = error else { throw error }
            offered = Int(count)
        }
        #expect(offered >= 1)
        let again = try Bench(peer, queues: 4)
        options.requestQueues = min(4, offered)
        options.depth = 4
        options.queueSize = 1024
        try use(try DeviceFrontend(connectingTo: again.daemon.socketPath, options: options), of: again)
    }

    /// With a channel for the daemon's own requests and a window of the old kind, which no daemon uses unless asked.
    @Test(arguments: PeerTests.peers) func aChannelAndAWindow(peer: Peer) throws {
        let bench = try Bench(peer)
        var options = FrontendOptions()
        options.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
        options.legacyWindowByteCount = 1 << 21
        let frontend = try DeviceFrontend(connectingTo: bench.daemon.socketPath, options: options)
        #expect(frontend.session.protocolFeatures.contains(.backendChannel))
        #expect(frontend.channel != nil)
        let watch = FrontendWatch(frontend)
        try use(frontend, of: bench)
        try watch.check()
    }

    /// A daemon that is killed ends a request that is on its way, and the watch says why.
    @Test(arguments: PeerTests.peers) func aKilledDaemon(peer: Peer) throws {
        let bench = try Bench(peer)
        let frontend = try DeviceFrontend(connectingTo: bench.daemon.socketPath)
        let client = FuseClient(frontend)
        _ = try client.initialize()
        let watch = FrontendWatch(frontend)
        // Killed first: the request is surely on its way then.
        bench.daemon.process.stop(graceMilliseconds: 0)
        #expect(throws: Errno.ECONNRESET) { try client.lookup(.root, "file".utf8) }
        #expect(waitReadable(any: watch.descriptors, timeoutMilliseconds: 10_000).contains(true))
        #expect(throws: DaemonFailure.disconnected) { try watch.check() }
    }
}

extension VirtioFeatures {
    fileprivate static let ringFeatures: VirtioFeatures = [.version1, .eventIndex, .indirectDescriptors]
}

extension EntryOut {
    fileprivate var node: NodeID { NodeID(rawValue: nodeID) }
}
