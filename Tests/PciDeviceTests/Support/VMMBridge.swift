// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import Glibc
import HostOS
import Synchronization
import VfioClient
import VfioUser
import VhostUser

@testable import PciDevice

/// A VMM and the virtio driver of its guest in one: on one side a front-end of ours, which has the memory, the queues and the
/// requests of a guest; on the other a device at a vfio-user socket. What the front-end tells a daemon by vhost-user, this tells the
/// device by registers, maps and interrupts, so that every test that drives a daemon can drive a device.
final class VMMBridge: @unchecked Sendable {
    // SAFETY: @unchecked because of what only the thread `serve` uses; `client` has a lock.

    /// How the device's interrupts come.
    enum Interrupts { case vectors, line }

    /// nil once the VMM has vanished.
    private var client: VfioClient?
    private let clientLock = Mutex<Void>(())
    private let interrupts: Interrupts
    private let stop: EventFD
    private var threads: [HostOS.Thread] = []
    let line: EventFD
    /// Vector 0: changes of the configuration.
    let configurationEvent: EventFD

    // The session's thread only.
    private var regions: [RegionDescription] = []
    private var rings: [Int: Ring] = [:]
    private var features: UInt64 = 0
    /// How many queues the guest uses; the last to be enabled starts the device.
    let queueCount: Int

    private struct Ring {
        var size: UInt16 = 0
        var addresses: VringAddresses?
        var isEnabled = false
    }
    /// What both threads know: by queue, the guest's kick and call.
    private let events = Mutex<[Int: (kick: SharedDescriptor?, call: SharedDescriptor?)]>([:])
    private let wake: EventFD

    /// Connects to a device, and makes a front-end for it.
    init(
        device path: String, queues: Int, interrupts: Interrupts = .vectors
    ) throws {
        let socket = try makeUnixSocket()
        try connectUnixSocket(socket.rawValue, to: path)
        let vfio = try VfioClient(adopting: socket, timeout: 20_000)
        try vfio.version()
        client = vfio
        self.interrupts = interrupts
        queueCount = 1 + queues
        stop = try EventFD()
        wake = try EventFD()
        line = try EventFD()
        configurationEvent = try EventFD()
        switch interrupts {
        case .line: try vfio.setInterrupts(0, flags: 0x24, count: 1, descriptors: [line.descriptor.rawValue])
        case .vectors:
            try vfio.setInterrupts(
                2, flags: 0x24, count: 1, descriptors: [configurationEvent.descriptor.rawValue])
        }
    }

    /// A front-end that drives the device. Ends with this object.
    func connect(_ options: FrontendOptions) throws -> DeviceFrontend {
        let pair = try SocketPair()
        return try pair.split { (ours, theirs) throws in
            let connection = try Connection(adopting: theirs)
            // Unsafe, because the object's end waits for its threads.
            threads.append(try HostOS.Thread(name: "bridge") { [unowned(unsafe) self] in serve(connection) })
            threads.append(try HostOS.Thread(name: "events") { [unowned(unsafe) self] in carryEvents() })
            return try DeviceFrontend(adopting: ours, options: options)
        }
    }

    deinit { end() }

    /// Stops being the guest's driver; the VMM stays.
    func end() {
        stop.signal()
        for thread in threads { thread.join() }
        threads = []
    }

    /// The VMM goes, without a word to the device.
    func vanish() {
        end()
        clientLock.withLock { _ in client = nil }
    }

    /// Speaks to the device.
    func withClient<Result>(_ body: (VfioClient) throws -> Result) throws -> Result {
        try clientLock.withLock { _ in
            guard let client else { throw Errno.ENOTCONN }
            return try body(client)
        }
    }

    // MARK: Registers

    func readRegister(_ offset: UInt64, _ width: Int) throws -> UInt64 {
        try withClient { number(try $0.read(0, offset, width)) }
    }

    func writeRegister(_ offset: UInt64, _ value: UInt64, _ width: Int) throws {
        try withClient { try $0.write(0, offset, Array(bytes(of: value).prefix(width)), posted: true) }
    }

    var status: UInt64 { get throws { try readRegister(20, 1) } }

    private func negotiate() throws {
        try writeRegister(20, 0, 1)
        while try status != 0 { usleep(1000) }
        try writeRegister(20, 1, 1)
        try writeRegister(20, 3, 1)
        for half: UInt64 in 0..<2 {
            try writeRegister(8, half, 4)
            try writeRegister(12, features >> (32 * half) & 0xffff_ffff, 4)
        }
        try writeRegister(20, 0x0b, 1)
        guard try status & 8 != 0 else { throw Errno.EOPNOTSUPP }
        if interrupts == .vectors { try writeRegister(16, 0, 2) }
    }

    private func program(_ index: Int, _ ring: Ring, _ addresses: VringAddresses) throws {
        try writeRegister(22, UInt64(index), 2)
        try writeRegister(24, UInt64(ring.size), 2)
        try writeRegister(32, guest(addresses.descriptorTable), 8)
        try writeRegister(40, guest(addresses.availableRing), 8)
        try writeRegister(48, guest(addresses.usedRing), 8)
        if interrupts == .vectors { try writeRegister(26, UInt64(index + 1), 2) }
        try writeRegister(28, 1, 2)
    }

    private func guest(_ user: UInt64) -> UInt64 {
        let region = regions.first { user >= $0.userAddress && user - $0.userAddress < $0.size }
        return region.map { user - $0.userAddress + $0.guestAddress } ?? .max
    }

    // MARK: Threads

    private func serve(_ connection: Connection) {
        let session = BackendSession(connection, delegate: self)
        while waitReadable(
            connection.descriptor.rawValue, stop.descriptor.rawValue, timeoutMilliseconds: -1) & 2 == 0
        {
            guard (try? session.serveNext()) != nil else { return }
        }
    }

    /// Kicks go to the device as messages; an interrupt on the line is asked about and goes to all queues.
    private func carryEvents() {
        while true {
            let all = events.withLock { $0 }
            let kicks = all.compactMap { index, pair in pair.kick.map { (index, $0) } }
            let ready = waitReadable(
                any: [stop.descriptor.rawValue, wake.descriptor.rawValue, line.descriptor.rawValue]
                    + kicks.map { $0.1.rawValue }, timeoutMilliseconds: -1)
            if ready[0] { return }
            if ready[1] { wake.clear() }
            if ready[2] {
                line.clear()
                let status = (try? readRegister(0x1000, 1)) ?? 0
                if status & 1 != 0 { for pair in all.values { pair.call.map { signalEvent($0.rawValue) } } }
                if status & 2 != 0 { configurationEvent.signal() }
                // As after QEMU's end of interrupt.
                try? withClient { try $0.setInterrupts(0, flags: 0x11, count: 1) }
            }
            for (place, (index, kick)) in kicks.enumerated() where ready[3 + place] {
                clearEvent(kick.rawValue)
                try? writeRegister(0x3000 + 4 * UInt64(index), UInt64(index), 2)
            }
        }
    }
}

/// What the front-end hears from a daemon, it hears from the device.
extension VMMBridge: BackendDelegate {
    var offeredFeatures: VirtioFeatures {
        var word: UInt64 = 0
        for half: UInt64 in 0..<2 {
            try? writeRegister(0, half, 4)
            word |= ((try? readRegister(4, 4)) ?? 0) << (32 * half)
        }
        return VirtioFeatures(rawValue: word).union(.protocolFeatures)
    }
    var offeredProtocolFeatures: ProtocolFeatures {
        [.multiqueue, .replyAck, .configureMemorySlots, .configuration]
    }
    var memorySlotCount: Int { 64 }

    func carryOut(_ body: () throws -> Void) throws(VhostUserError) {
        do { try body() } catch { throw .refused((error as? Errno) ?? .EPROTO) }
    }

    func setOwner() throws(VhostUserError) {}
    func resetOwner() throws(VhostUserError) {}
    func setFeatures(_ features: VirtioFeatures) throws(VhostUserError) {
        self.features = features.subtracting(.protocolFeatures).rawValue
        try carryOut { try negotiate() }
    }
    func setProtocolFeatures(_ features: ProtocolFeatures) throws(VhostUserError) {}
    func setBackendChannel(_ socket: consuming OwnedDescriptor) throws(VhostUserError) { throw .invalidValue }
    func setMemoryTable(_ regions: [RegionDescription], files: consuming ReceivedDescriptors)
        throws(VhostUserError)
    { throw .invalidValue }

    func addMemoryRegion(_ region: RegionDescription, file: consuming OwnedDescriptor) throws(VhostUserError)
    {
        regions.append(region)
        let shared = SharedDescriptor(file)
        try carryOut {
            let range = DMARange(
                address: region.guestAddress, size: region.size, fileOffset: region.fileOffset,
                isReadable: true,
                isWritable: true)
            try withClient { try $0.map(range, shared.rawValue) }
        }
    }
    func removeMemoryRegion(_ region: RegionDescription) throws(VhostUserError) {
        regions.removeAll { $0.guestAddress == region.guestAddress }
        try carryOut { try withClient { try $0.unmap(address: region.guestAddress, size: region.size) } }
    }

    func setRingSize(_ ring: Int, _ size: UInt16) throws(VhostUserError) {
        rings[ring, default: Ring()].size = size
    }
    func setRingBase(_ ring: Int, _ base: UInt16) throws(VhostUserError) {}
    func setRingAddresses(_ ring: Int, _ addresses: VringAddresses) throws(VhostUserError) {
        rings[ring, default: Ring()].addresses = addresses
    }
    func setRingKick(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        let shared = share(event)
        events.withLock { $0[ring, default: (nil, nil)].kick = shared }
        wake.signal()
    }
    func setRingCall(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {
        let shared = share(event)
        events.withLock { $0[ring, default: (nil, nil)].call = shared }
        guard interrupts == .vectors, let shared else { return }
        try carryOut {
            try withClient {
                try $0.setInterrupts(
                    2, flags: 0x24, start: UInt32(ring + 1), count: 1, descriptors: [shared.rawValue])
            }
        }
    }
    func setRingError(_ ring: Int, _ event: consuming OwnedDescriptor?) throws(VhostUserError) {}

    func setRingEnabled(_ ring: Int, _ enabled: Bool) throws(VhostUserError) {
        rings[ring, default: Ring()].isEnabled = enabled
        guard enabled else { return }
        try carryOut {
            if try status & 8 == 0 { try negotiate() }
            guard let addresses = rings[ring]?.addresses, let known = rings[ring] else { throw Errno.EINVAL }
            try program(ring, known, addresses)
            if rings.values.count(where: \.isEnabled) == queueCount { try writeRegister(20, 0x0f, 1) }
        }
    }
    /// A driver resets its device to stop it.
    func stopRing(_ ring: Int) throws(VhostUserError) -> UInt16 {
        try carryOut {
            if try status != 0 { try writeRegister(20, 0, 1) }
            while try status != 0 { usleep(1000) }
        }
        return 0
    }

    func readConfiguration(offset: UInt32, count: Int) throws(VhostUserError) -> [UInt8] {
        do { return try withClient { try $0.read(0, 0x2000 + UInt64(offset), count) } } catch {
            throw .refused(.EIO)
        }
    }
    func writeConfiguration(offset: UInt32, _ bytes: [UInt8]) throws(VhostUserError) {}
    func resetDevice() throws(VhostUserError) {}
    func refused(request: UInt32, _ error: VhostUserError) {}

    private func share(_ event: consuming OwnedDescriptor?) -> SharedDescriptor? {
        if let event { SharedDescriptor(event) } else { nil }
    }
}
