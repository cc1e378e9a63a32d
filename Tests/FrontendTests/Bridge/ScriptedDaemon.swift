// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import GuestMemory
import HostOS
import Synchronization
import VhostUser
import Virtqueue

/// A vhost-user-fs daemon that serves one file "f" of 1 MiB, and breaks whatever rule a test wants broken.
final class ScriptedDaemon: Sendable {
    struct Request: Sendable {
        let opcode: Opcode?
        let header: InHeader
        let body: [UInt8]
        /// How many bytes the reply may have.
        let room: Int
        let queue: Int
    }

    enum Answer: Sendable {
        /// A correct header and this body.
        case success([UInt8])
        case failure(Errno)
        /// These bytes, and `used.len` if it is to be another number.
        case raw([UInt8], written: UInt32? = nil)
        /// The right answer, twice.
        case twice([UInt8])
        /// A used index far ahead.
        case jump
        case silence
        /// The connection ends.
        case hangUp
    }

    /// nil: the ordinary answer.
    typealias Script = @Sendable (Request) -> Answer?

    private let control: Thread
    private let worker: Thread
    private let device: ScriptedDevice
    private let log: Log

    /// A daemon at the other end of the socket that `body` gets.
    static func start<Result>(
        queues: Int = 1, windowByteCount: UInt64 = 0, _ script: @escaping Script,
        _ body: (ScriptedDaemon, consuming OwnedDescriptor) throws -> Result
    ) throws -> Result {
        let pair = try SocketPair()
        var ends: (Int32, Int32) = (-1, -1)
        pair.split { (first, second) in ends = (first.release(), second.release()) }
        let daemon = try ScriptedDaemon(
            adopting: OwnedDescriptor(adopting: ends.0), queues, windowByteCount, script)
        defer { daemon.end() }
        return try body(daemon, OwnedDescriptor(adopting: ends.1))
    }

    private init(
        adopting socket: consuming OwnedDescriptor, _ queues: Int, _ windowByteCount: UInt64,
        _ script: @escaping Script
    ) throws {
        let connection = try Connection(adopting: socket)
        let device = try ScriptedDevice(
            queueCount: 1 + queues, connection: connection, windowByteCount: windowByteCount)
        self.device = device
        let log = Log()
        self.log = log
        control = try Thread(name: "control") {
            let session = BackendSession(connection, delegate: device)
            while (try? session.serveNext()) != nil {}
            device.stop.signal()
        }
        worker = try Thread(name: "rings") {
            device.serve { request in
                log.note(request)
                return script(request) ?? OrdinaryAnswers.answer(to: request)
            }
        }
    }

    private final class Log: Sendable {
        let requests = Mutex<[Request]>([])
        let changes = Announcements()
        func note(_ request: Request) {
            requests.withLock { $0.append(request) }
            changes.announce()
        }
    }
    /// What has come so far.
    var seen: [Request] { log.requests.withLock { $0 } }

    /// Waits until a request has come that fits.
    func wait(for condition: (Request) -> Bool) -> Bool {
        let deadline = Deadline(milliseconds: 10_000)
        while true {
            let moment = log.changes.current
            if seen.contains(where: condition) { return true }
            if deadline.hasPassed { return false }
            log.changes.wait(since: moment, until: deadline)
        }
    }

    func hangUp() { device.hangUp() }

    /// For requests of the daemon's own.
    var channel: Connection? { device.channel.withLock { $0 } }
    func closeChannel() { device.channel.withLock { $0 = nil } }

    private func end() {
        device.hangUp()
        device.stop.signal()
        control.join()
        worker.join()
    }
}

/// What a well-behaved daemon says.
enum OrdinaryAnswers {
    static let byteCount = 1 << 20
    /// The byte of the file at `offset`.
    static func byte(_ offset: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: offset &* 31 &+ offset >> 12) }

    static func answer(to request: ScriptedDaemon.Request) -> ScriptedDaemon.Answer {
        switch request.opcode {
        case .initialize:
            let offer = load(InitIn.self, request.body)
            var choice = InitOut()
            choice.major = 7
            choice.minor = 38
            choice.setFlags(
                offer.allFlags
                    & (InitFlags.asyncRead | InitFlags.bigWrites | InitFlags.maxPages | InitFlags.initExtended)
            )
            choice.maxReadahead = offer.maxReadahead
            choice.maxWrite = 1 << 20
            choice.maxPages = 256
            choice.timeGranularity = 1
            return .success(bytes(choice))
        case .lookup:
            guard request.body == Array("f\0".utf8) else { return .failure(.ENOENT) }
            var entry = EntryOut()
            entry.nodeID = 2
            entry.attributes = attributes(2)
            return .success(bytes(entry))
        case .getattr:
            var reply = AttrOut()
            reply.attributes = attributes(request.header.nodeID)
            return .success(bytes(reply))
        case .open, .opendir: return .success(bytes(OpenOut()))
        case .read:
            let arguments = load(ReadIn.self, request.body)
            let end = min(arguments.offset + UInt64(arguments.size), UInt64(byteCount))
            if end <= arguments.offset { return .success([]) }
            return .success((arguments.offset..<end).map(byte))
        case .write:
            var reply = WriteOut()
            reply.size = load(WriteIn.self, request.body).size
            return .success(bytes(reply))
        case .readdir: return .success([])
        case .statfs: return .success(bytes(StatFSOut()))
        case .getxattr, .listxattr: return .failure(.EOPNOTSUPP)
        case .forget, .batchForget, .interrupt: return .raw([])
        default: return .success([])
        }
    }

    static func attributes(_ node: UInt64) -> Attributes {
        var result = Attributes()
        result.ino = node
        result.mode = node == 1 ? 0o040_755 : 0o100_644
        result.nlink = 1
        result.size = node == 1 ? 0 : UInt64(byteCount)
        result.blksize = 4096
        return result
    }

    static func bytes<T: BitwiseCopyable>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    static func load<T: BitwiseCopyable>(_: T.Type, _ bytes: [UInt8]) -> T {
        bytes.withUnsafeBytes { $0.loadUnaligned(as: T.self) }
    }
}
