// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The server's side of one vfio-user connection: reads commands, has the device carry them out, and answers.
///
/// Spec: QEMU docs/interop/vfio-user.rst. One thread uses it: poll `descriptor`, then `serveOne()`. A client can make it wait
/// only between messages: inside one, both directions end after `messageTimeout`.
package final class VfioSession {
    private let socket: MessageSocket
    private let device: any VfioDevice
    /// How long a begun message may take to arrive or to leave, in milliseconds.
    private let messageTimeout: Int32
    private var isNegotiated = false
    /// How many commands failed that were not to be answered.
    package private(set) var silentFailures: UInt64 = 0

    /// Takes over a connected socket and makes it non-blocking.
    package init(
        adopting socket: consuming OwnedDescriptor, device: any VfioDevice, messageTimeout: Int32 = 1000
    ) throws(Errno) {
        self.socket = try MessageSocket(
            adopting: socket, maximumDescriptorCount: MessageHeader.maximumDescriptorCount)
        self.device = device
        self.messageTimeout = messageTimeout
    }

    /// For poll(2): readable when a message has begun or the client has gone.
    package var descriptor: Int32 { socket.descriptor.rawValue }

    private struct Message: ~Copyable {
        let header: MessageHeader
        let payload: [UInt8]
        var descriptors: ReceivedDescriptors
    }

    /// What a reply has behind its header.
    private struct Answer {
        /// The fields.
        var body: [UInt8] = []
        /// What was read, behind them.
        var data: [UInt8] = []
        var file: Int32?
    }

    /// Waits for one message, carries it out and answers it.
    ///
    /// - Throws: when the connection is over: `disconnected` is its ordinary end. No descriptor is left then.
    package func serveOne() throws(VfioError) {
        var message = try receive()
        let header = message.header
        // An answer to a reply could go on for ever.
        guard header.flags.type != MessageFlags.reply.rawValue else {
            throw .unexpectedReply(command: header.command)
        }
        let answer: Answer
        do throws(Errno) {
            answer = try perform(&message)
        } catch {
            return try refuse(header, error)
        }
        if header.flags.contains(.noReply) { return }
        try send(header, flags: .reply, answer)
    }

    private func refuse(_ header: MessageHeader, _ error: Errno) throws(VfioError) {
        if header.flags.contains(.noReply) {
            silentFailures += 1
        } else {
            try send(header, flags: [.reply, .error], error: error, Answer())
        }
    }

    // MARK: Messages

    private func receive() throws(VfioError) -> Message {
        _ = waitReadable(descriptor, until: .never)
        let deadline = Deadline(milliseconds: messageTimeout)
        var descriptors = ReceivedDescriptors()
        var start: [UInt8] = []
        do throws(MessageFailure) {
            try socket.fill(&start, to: MessageHeader.byteCount, &descriptors, until: deadline)
        } catch {
            throw start.isEmpty && error == .ended ? .disconnected : VfioError(inMessage: error)
        }
        let header: MessageHeader
        do throws(Errno) { header = try MessageHeader(decoding: start) } catch { throw .system(error) }
        let size = header.messageByteCount
        guard size >= UInt32(MessageHeader.byteCount), size <= MessageHeader.maximumMessageByteCount else {
            throw .messageSize(size)
        }
        var payload: [UInt8] = []
        do throws(MessageFailure) {
            try socket.fill(&payload, to: Int(size) - MessageHeader.byteCount, &descriptors, until: deadline)
        } catch {
            throw VfioError(inMessage: error)
        }
        return Message(header: header, payload: payload, descriptors: descriptors)
    }

    private func send(
        _ command: MessageHeader, flags: MessageFlags, error: Errno? = nil, _ answer: Answer
    ) throws(VfioError) {
        let size = MessageHeader.byteCount + answer.body.count + answer.data.count
        var writer = ByteWriter(capacity: size)
        MessageHeader(
            id: command.id, command: command.command, messageByteCount: UInt32(truncatingIfNeeded: size),
            flags: flags, error: UInt32(truncatingIfNeeded: error?.rawValue ?? 0)
        ).encode(into: &writer)
        writer.append(answer.body)
        writer.append(answer.data)
        do throws(MessageFailure) {
            try socket.send(
                writer.bytes, descriptors: answer.file.map { [$0] } ?? [],
                until: Deadline(milliseconds: messageTimeout))
        } catch {
            throw error == .ended ? .disconnected : VfioError(inMessage: error)
        }
    }

    // MARK: Commands

    private func perform(_ message: inout Message) throws(Errno) -> Answer {
        guard message.header.flags.type == 0 else { throw .EINVAL }
        let command = Command(rawValue: message.header.command)
        // VERSION comes first, and once.
        guard (command == .version) != isNegotiated else { throw .EINVAL }
        guard let command else { throw .EOPNOTSUPP }
        guard command.descriptors.contains(message.descriptors.count) else { throw .EINVAL }
        let payload = message.payload
        switch command {
        case .version:
            try VersionMessage.check(payload)
            isNegotiated = true
            return Answer(body: VersionMessage.reply(maximumMaps: device.maximumMaps))
        case .mapDMA: try device.map(DMARange(decoding: payload), message.descriptors.takeFirst())
        case .unmapDMA:
            switch try DMAUnmap(decoding: payload) {
            case .range(let address, let size): try device.unmap(address: address, size: size)
            case .all: try device.unmapAll()
            }
            return Answer(body: payload)
        case .getDeviceInfo: return Answer(body: try DeviceInfo.reply(to: payload))
        case .getRegionInfo:
            let (index, limit) = try RegionInfo.decodeRequest(payload)
            let region = device.region(index)
            return Answer(body: region.encoded(index: index, limit: limit), file: region.mappableFile)
        case .getInterruptInfo:
            let index = try InterruptInfo.decodeRequest(payload)
            return Answer(body: device.interrupts(index).encoded(index))
        case .setInterrupts:
            let request = try InterruptMessage(decoding: payload)
            let change = try request.change(
                available: device.interrupts(request.index).count,
                descriptorCount: message.descriptors.count)
            try device.change(request.index, change, &message.descriptors)
        case .readRegion: return try read(payload)
        case .writeRegion: return try write(payload)
        case .writeRegions: return try writeSeveral(payload)
        case .resetDevice:
            guard payload.isEmpty else { throw .EINVAL }
            try device.reset()
        }
        return Answer()
    }

    private func read(_ payload: [UInt8]) throws(Errno) -> Answer {
        var reader = try WireReader(payload, expecting: RegionAccess.byteCount)
        let access = try RegionAccess(from: &reader)
        guard try region(access).isReadable else { throw .EINVAL }
        let bytes = try device.read(access.region, at: access.offset, count: Int(access.count))
        guard bytes.count == Int(access.count) else { throw .EIO }
        return Answer(body: access.encoded, data: bytes)
    }

    private func write(_ payload: [UInt8]) throws(Errno) -> Answer {
        var reader = WireReader(payload)
        let access = try RegionAccess(from: &reader)
        guard reader.remainingByteCount == Int(access.count) else { throw .EINVAL }
        try write(access, try reader.take(reader.remainingByteCount))
        return Answer(body: access.encoded)
    }

    /// REGION_WRITE_MULTI: `u64 n`, then each of n with its fields and room for 8 bytes; the reply is n again. What comes before
    /// one that fails has been written.
    private func writeSeveral(_ payload: [UInt8]) throws(Errno) -> Answer {
        let room = 8
        var reader = WireReader(payload)
        let count = try reader.u64()
        let (writes, rest) = reader.remainingByteCount.quotientAndRemainder(
            dividingBy: RegionAccess.byteCount + room)
        guard rest == 0, count == UInt64(writes) else { throw .EINVAL }
        for _ in 0..<writes {
            let access = try RegionAccess(from: &reader)
            let bytes = try reader.take(room)
            guard access.count <= UInt32(room) else { throw .EINVAL }
            try write(access, bytes.prefix(Int(access.count)))
        }
        return Answer(body: Array(payload.prefix(8)))
    }

    private func write(_ access: RegionAccess, _ bytes: ArraySlice<UInt8>) throws(Errno) {
        guard try region(access).isWritable else { throw .EINVAL }
        try device.write(access.region, at: access.offset, Array(bytes))
    }

    /// The region that `access` lies in.
    private func region(_ access: RegionAccess) throws(Errno) -> RegionInfo {
        guard access.region < RegionIndex.count else { throw .EINVAL }
        let region = device.region(access.region)
        guard access.fits(region.size) else { throw .EINVAL }
        return region
    }
}
