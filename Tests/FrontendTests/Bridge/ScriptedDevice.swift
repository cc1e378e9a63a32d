// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Synchronization
import VhostUser
import Virtqueue

@testable import Frontend

/// The rings of a `ScriptedDaemon`: one thread sets them up, another serves them.
final class ScriptedDevice: BackendDelegate, @unchecked Sendable {
    let stop: EventFD
    private let running: EventFD
    private let connection: Connection

    let queueCount: Int
    let memorySlotCount = 8
    let offeredFeatures: VirtioFeatures = [
        .protocolFeatures, .version1, .indirectDescriptors, .eventIndex,
    ]
    var offeredProtocolFeatures: ProtocolFeatures {
        let features: ProtocolFeatures = [.multiqueue, .replyAck, .configureMemorySlots]
        return windowByteCount == 0 ? features : features.union(FrontendOptions.channelFeatures)
    }
    let windowByteCount: UInt64
    var sharedMemorySizes: [UInt64] { [windowByteCount] }
    /// Our end of the channel for our own requests.
    let channel = Mutex<Connection?>(nil)

    // Written by the control thread before it signals `running`, read by the other afterwards.
    private var memory: GuestMemory
    private var rings: [Ring]
    private var features: VirtioFeatures = []

    private struct Ring {
        var size = 0
        var addresses: VringAddresses?
        var kick: Int32 = -1
        var call: Int32 = -1
        var enabled = false
    }

    init(queueCount: Int, connection: Connection, windowByteCount: UInt64) throws {
        self.queueCount = queueCount
        self.windowByteCount = windowByteCount
        self.connection = connection
        stop = try EventFD()
        running = try EventFD()
        memory = try GuestMemory()
        rings = [Ring](repeating: Ring(), count: queueCount)
    }

    deinit { for ring in rings { for number in [ring.kick, ring.call] where number >= 0 { close(number) } } }

    func hangUp() { shutdown(connection.descriptor.rawValue, Int32(SHUT_RDWR)) }

    // MARK: Rings

    private struct RunningRing {
        let layout: RingLayout
        let queue: DeviceQueue
        let ring: Ring
    }

    /// Answers requests until the end.
    func serve(_ answer: (ScriptedDaemon.Request) -> ScriptedDaemon.Answer) {
        let start = waitReadable(
            stop.descriptor.rawValue, running.descriptor.rawValue, timeoutMilliseconds: -1)
        if start & 1 != 0 { return }
        // By this read it sees all that was written before the signal.
        running.clear()
        let features = RingFeatures(negotiated: features.rawValue)
        var queues: [RunningRing] = []
        for ring in rings {
            guard let addresses = ring.addresses,
                let layout = try? RingLayout(
                    size: ring.size, userDescriptors: addresses.descriptorTable,
                    userAvailable: addresses.availableRing, userUsed: addresses.usedRing, memory: memory)
            else { return }
            queues.append(
                RunningRing(
                    layout: layout, queue: DeviceQueue(layout: layout, features: features), ring: ring))
        }
        let chain = Chain()
        let kicks = rings.map(\.kick)
        while true {
            for (index, ring) in queues.enumerated() {
                repeat {
                    while (try? ring.queue.pop(into: chain, memory: memory)) == true {
                        carryOut(answer(request(chain, index)), chain, ring)
                    }
                } while ring.queue.enableNotifications()
            }
            let ready = waitReadable(any: [stop.descriptor.rawValue] + kicks, timeoutMilliseconds: -1)
            if ready[0] { return }
            for (index, kick) in kicks.enumerated() where ready[1 + index] { clearEvent(kick) }
        }
    }

    private func request(_ chain: Chain, _ queue: Int) -> ScriptedDaemon.Request {
        var bytes = [UInt8](repeating: 0, count: chain.readableByteCount)
        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
        let header = OrdinaryAnswers.load(InHeader.self, bytes)
        return ScriptedDaemon.Request(
            opcode: Opcode(rawValue: header.opcode), header: header, body: Array(bytes.dropFirst(40)),
            room: chain.writableByteCount, queue: queue)
    }

    private func carryOut(_ answer: ScriptedDaemon.Answer, _ chain: Chain, _ ring: RunningRing) {
        var bytes = [UInt8](repeating: 0, count: 40)
        _ = bytes.withUnsafeMutableBytes { chain.copyReadable(from: 0, into: $0) }
        var header = OutHeader()
        header.unique = OrdinaryAnswers.load(InHeader.self, bytes).unique
        var body: [UInt8] = []
        switch answer {
        case .silence: return
        case .hangUp: return hangUp()
        case .jump:
            ring.layout.used.storeRelease16(2, 0x4000)  // used.idx
            return signalEvent(ring.ring.call)
        case .raw(let raw, let written):
            return push(raw, written: written ?? UInt32(raw.count), chain, ring)
        case .failure(let error): header.error = -error.rawValue
        case .success(let data), .twice(let data): body = data
        }
        header.length = UInt32(16 + body.count)
        let reply = OrdinaryAnswers.bytes(header) + body
        push(reply, written: UInt32(reply.count), chain, ring)
        if case .twice = answer { push(reply, written: UInt32(reply.count), chain, ring) }
    }

    private func push(_ bytes: [UInt8], written: UInt32, _ chain: Chain, _ ring: RunningRing) {
        _ = bytes.withUnsafeBytes { chain.copyToWritable($0, at: 0) }
        ring.queue.push(head: chain.head, written: written)
        ring.queue.publish()
        if ring.queue.needsNotification() { signalEvent(ring.ring.call) }
    }

    // MARK: Control

    func setOwner() {}
    func resetOwner() {}
    func setFeatures(_ features: VirtioFeatures) { self.features = features }
    func setProtocolFeatures(_ features: ProtocolFeatures) {}
    func setBackendChannel(_ socket: consuming OwnedDescriptor) throws(VhostUserError) {
        do throws(Errno) {
            let connection = try Connection(adopting: socket)
            channel.withLock { $0 = connection }
        } catch { throw .refused(error) }
    }
    func setMemoryTable(
        _ regions: [RegionDescription], files: consuming ReceivedDescriptors
    ) throws(VhostUserError) { throw .refused(.ENOSYS) }
    func addMemoryRegion(_ region: RegionDescription, file: consuming OwnedDescriptor) throws(VhostUserError)
    {
        do throws(Errno) {
            memory = try memory.adding(
                try MemoryRegion(
                    adopting: file, guestAddress: GuestAddress(region.guestAddress), byteCount: region.size,
                    userAddress: region.userAddress, mmapOffset: region.fileOffset))
        } catch { throw .refused(error) }
    }
    func removeMemoryRegion(_ region: RegionDescription) {}
    func setRingSize(_ ring: Int, _ size: UInt16) { rings[ring].size = Int(size) }
    func setRingBase(_ ring: Int, _ base: UInt16) {}
    func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) { rings[ring].addresses = addresses }
    func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) {
        rings[ring].kick = event?.release() ?? -1
    }
    func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) {
        rings[ring].call = event?.release() ?? -1
    }
    func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) {}
    func setRingEnabled(_ ring: Int, _ enabled: Bool) {
        rings[ring].enabled = enabled
        if rings.allSatisfy(\.enabled) { running.signal() }
    }
    func stopRing(_ ring: Int) -> UInt16 { 0 }
    func readConfiguration(offset: UInt32, count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) {}
    func resetDevice() {}
    func refused(request: UInt32, _ error: VhostUserError) {}
}
