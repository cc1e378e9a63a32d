// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Synchronization
import Testing
import VhostUser
import Virtqueue

/// A request as a back-end sees it.
struct SeenRequest: Sendable {
    let queue: Int
    let header: InHeader
    /// Everything behind the header.
    let body: [UInt8]
    /// How many bytes a reply may have.
    let room: Int

    var opcode: Opcode? { Opcode(rawValue: header.opcode) }

    /// The first value of the body.
    func argument<T: BitwiseCopyable>(_ type: T.Type) -> T? { wireValue(type, from: body) }
}

/// What a back-end does with a request.
enum Reaction: Sendable {
    /// A good header before these bytes.
    case answer([UInt8])
    case error(Int32)
    /// These bytes as they are, and what `used.len` says.
    case raw([UInt8], written: Int)
    /// A used element for a chain that does not exist.
    case unknownChain
    /// The same chain twice.
    case twice
    case silence
    /// Signals that the ring is broken.
    case giveUp
    /// Closes the connection.
    case die
    /// Sends a message that nobody asked for.
    case chatter
}

/// A back-end that knows no files and answers as a test wants; by default, agreeably.
final class ScriptedBackend: Sendable {
    let socketPath: String
    private let directory: TemporaryDirectory
    private let stop: EventFD
    private let thread: HostOS.Thread
    private let log: Log

    final class Log: Sendable {
        let requests = Mutex<[SeenRequest]>([])
    }

    /// Every request so far.
    var requests: [SeenRequest] { log.requests.withLock { $0 } }

    /// - Parameter react: nil means the default.
    init(react: @escaping @Sendable (SeenRequest) -> Reaction? = { _ in nil }) throws {
        let directory = try TemporaryDirectory(prefix: "bench-test.")
        self.directory = directory
        socketPath = directory.path + "/socket"
        let listener = try Listener(path: socketPath)
        let (stop, log) = (try EventFD(), Log())
        self.stop = stop
        self.log = log
        thread = try HostOS.Thread(name: "scripted") {
            let serve = Serve(stop: stop.descriptor.rawValue, log: log, react: react)
            _ = waitReadable(
                listener.descriptor.rawValue, stop.descriptor.rawValue, timeoutMilliseconds: 60_000)
            if let connection = try? listener.acceptConnection() { serve.run(connection) }
        }
    }

    deinit {
        stop.signal()
        thread.join()
    }

    /// What a well-behaved daemon would say.
    static func agree(_ request: SeenRequest) -> Reaction {
        switch request.opcode {
        case .initialize:
            var reply = InitOut()
            (reply.major, reply.minor) = (7, 38)
            reply.maxWrite = 1 << 20
            reply.setFlags(InitFlags.doReaddirplus | InitFlags.initExtended)
            return .answer(wireBytes(of: reply))
        case .lookup, .mkdir, .symlink: return .answer(wireBytes(of: entry(7)))
        case .create:
            var reply = CreateOut()
            reply.entry = entry(8)
            reply.open.handle = 3
            return .answer(wireBytes(of: reply))
        case .open, .opendir:
            var reply = OpenOut()
            reply.handle = 3
            return .answer(wireBytes(of: reply))
        case .write:
            var reply = WriteOut()
            reply.size = request.argument(WriteIn.self)?.size ?? 0
            return .answer(wireBytes(of: reply))
        case .readdir, .readdirplus: return .answer([])
        default: return .answer([UInt8](repeating: 0, count: max(0, request.room - 16)))
        }
    }

    static func entry(_ node: UInt64) -> EntryOut {
        var entry = EntryOut()
        entry.nodeID = node
        entry.attributes.mode = S_IFDIR | 0o755
        return entry
    }
}

/// The back-end's thread.
private final class Serve: BackendDelegate {
    private final class Ring {
        var size = 0
        var addresses: VringAddresses?
        var queue: DeviceQueue?
        var kick: OwnedDescriptor?
        var call: OwnedDescriptor?
        var error: OwnedDescriptor?
    }

    let offeredFeatures: VirtioFeatures = [
        .protocolFeatures, .version1, .indirectDescriptors, .eventIndex,
    ]
    let offeredProtocolFeatures: ProtocolFeatures = [.multiqueue, .replyAck, .configureMemorySlots]
    let queueCount = 2
    let memorySlotCount = 8
    private let rings = [Ring(), Ring()]
    private var memory = try? GuestMemory()
    private let chain = Chain()
    private let stop: Int32
    private let log: ScriptedBackend.Log
    private let react: @Sendable (SeenRequest) -> Reaction?
    private var isAlive = true

    init(
        stop: Int32, log: ScriptedBackend.Log, react: @escaping @Sendable (SeenRequest) -> Reaction?
    ) {
        self.stop = stop
        self.log = log
        self.react = react
    }

    func run(_ connection: Connection) {
        let session = BackendSession(connection, delegate: self)
        while isAlive {
            let ready = waitReadable(
                connection.descriptor.rawValue, stop, rings[0].kick?.rawValue ?? -1,
                rings[1].kick?.rawValue ?? -1, timeoutMilliseconds: 60_000)
            if ready == 0 || ready & 0b10 != 0 { return }
            if ready & 0b01 != 0 {
                do { try session.serveNext() } catch { return }
            }
            for (index, ring) in rings.enumerated() where ready & (4 << UInt8(index)) != 0 {
                if let kick = ring.kick?.rawValue { clearEvent(kick) }
                serve(index, ring, connection)
            }
        }
    }

    private func serve(_ index: Int, _ ring: Ring, _ connection: Connection) {
        guard let queue = ring.queue, let memory else { return }
        repeat {
            while isAlive, (try? queue.pop(into: chain, memory: memory)) == true {
                let request = seen(index)
                log.requests.withLock { $0.append(request) }
                let isSilent = request.opcode?.isSilent ?? false
                carryOut(
                    isSilent ? .raw([], written: 0) : react(request) ?? ScriptedBackend.agree(request),
                    request, queue, ring, connection)
            }
            queue.publish()
            if queue.needsNotification(), let call = ring.call?.rawValue { signalEvent(call) }
        } while isAlive && queue.enableNotifications()
    }

    private func seen(_ index: Int) -> SeenRequest {
        var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
        return SeenRequest(
            queue: index, header: wireValue(from: bytes) ?? InHeader(), body: Array(bytes.dropFirst(40)),
            room: chain.writableByteCount)
    }

    private func carryOut(
        _ reaction: Reaction, _ request: SeenRequest, _ queue: DeviceQueue, _ ring: Ring,
        _ connection: Connection
    ) {
        func give(_ bytes: [UInt8], written: Int) {
            _ = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
            queue.push(head: chain.head, written: UInt32(written))
        }
        func answer(_ body: [UInt8], error: Int32 = 0) {
            var header = OutHeader()
            header.length = UInt32(16 + body.count)
            header.unique = request.header.unique
            header.error = error
            give(wireBytes(of: header) + body, written: 16 + body.count)
        }
        switch reaction {
        case .answer(let body): answer(body)
        case .error(let code): answer([], error: -code)
        case .raw(let bytes, let written): give(bytes, written: written)
        case .unknownChain: queue.push(head: 999, written: 16)
        case .twice:
            answer([UInt8](repeating: 0, count: request.room - 16))
            answer([UInt8](repeating: 0, count: request.room - 16))
        case .silence: break
        case .giveUp: if let error = ring.error?.rawValue { signalEvent(error) }
        case .die: isAlive = false
        case .chatter: try? connection.send([UInt8](repeating: 0x55, count: 12))
        }
    }

    // MARK: BackendDelegate

    func setOwner() {}
    func resetOwner() {}
    func setFeatures(_ features: VirtioFeatures) {}
    func setProtocolFeatures(_ features: ProtocolFeatures) {}
    func setBackendChannel(_ socket: consuming OwnedDescriptor) {}
    func setMemoryTable(_ regions: [RegionDescription], files: consuming ReceivedDescriptors) {}
    func removeMemoryRegion(_ region: RegionDescription) {}

    func addMemoryRegion(_ region: RegionDescription, file: consuming OwnedDescriptor) throws(VhostUserError)
    {
        do throws(Errno) {
            let mapped = try MemoryRegion(
                adopting: file, guestAddress: GuestAddress(region.guestAddress), byteCount: region.size,
                userAddress: region.userAddress, mmapOffset: region.fileOffset)
            memory = try memory?.adding(mapped)
        } catch {
            throw .refused(error)
        }
    }

    func setRingSize(_ ring: Int, _ size: UInt16) { rings[ring].size = Int(size) }
    func setRingBase(_ ring: Int, _ base: UInt16) {}
    func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) { rings[ring].addresses = addresses }

    func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        guard let addresses = rings[ring].addresses, let memory else { throw .invalidValue }
        do throws(Errno) {
            let layout = try RingLayout(
                size: rings[ring].size, userDescriptors: addresses.descriptorTable,
                userAvailable: addresses.availableRing, userUsed: addresses.usedRing, memory: memory)
            rings[ring].queue = DeviceQueue(layout: layout, features: .all)
        } catch {
            throw .refused(error)
        }
        rings[ring].kick = event
    }

    func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) { rings[ring].call = event }
    func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) { rings[ring].error = event }
    func setRingEnabled(_ ring: Int, _ enabled: Bool) {}
    func stopRing(_ ring: Int) -> UInt16 { 0 }
    func readConfiguration(offset: UInt32, count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) {}
    func resetDevice() {}
    func refused(request: UInt32, _ error: VhostUserError) {}
}
