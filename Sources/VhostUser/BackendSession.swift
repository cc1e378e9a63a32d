// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The back-end's side of one connection: reads requests, has the delegate carry them out, and answers.
///
/// Spec: QEMU docs/interop/vhost-user.rst. One thread uses it: poll `connection.descriptor`, then `serveNext()`.
package final class BackendSession {
    /// All protocol features that a delegate may offer.
    package static let implementedFeatures: ProtocolFeatures = [
        .multiqueue, .replyAck, .backendChannel, .configuration, .backendSendsDescriptors, .resetDevice,
        .configureMemorySlots, .sharedMemory,
    ]
    private static let maximumRingSize: UInt32 = 32768

    package let connection: Connection
    private let delegate: any BackendDelegate
    /// One bit per request number already told to the delegate as refused; 63 stands for all above.
    private var toldRefusals: UInt64 = 0

    package init(_ connection: Connection, delegate: any BackendDelegate) {
        invariant(
            delegate.offeredFeatures.contains([.protocolFeatures, .version1]),
            "features without the basic two")
        invariant(
            Self.implementedFeatures.contains(delegate.offeredProtocolFeatures),
            "unimplemented protocol feature offered")
        invariant(delegate.queueCount <= 256, "more rings than a notifier message can name")
        self.connection = connection
        self.delegate = delegate
    }

    private enum Answer {
        case acknowledgement
        case body([UInt8])
    }

    /// Waits for one request, carries it out and answers it.
    ///
    /// - Throws: when the connection is over: `disconnected` is its ordinary end.
    package func serveNext() throws(VhostUserError) {
        var message = try connection.receive()
        let header = message.header
        guard !header.flags.contains(.reply) else {
            throw .unexpectedMessage(request: header.request, flags: header.flags.rawValue)
        }
        // Honoured on every message: UML asks for it on SET_PROTOCOL_FEATURES, the message that acks the feature.
        let wantsAcknowledgement =
            header.flags.contains(.needReply) && delegate.offeredProtocolFeatures.contains(.replyAck)
        do throws(VhostUserError) {
            switch try perform(&message) {
            case .body(let body): try reply(to: header, body)
            case .acknowledgement: if wantsAcknowledgement { try reply(to: header, UInt64(0).encodedPayload) }
            }
        } catch {
            if error.endsConnection { throw error }
            try refuse(header, error, wantsAcknowledgement: wantsAcknowledgement)
        }
    }

    private func reply(to header: MessageHeader, _ body: [UInt8]) throws(VhostUserError) {
        try connection.send(request: header.request, flags: .answer, payload: body)
    }

    /// Says no as the request allows it. Where it allows nothing, a request that may be ignored is; after any other the
    /// two ends would disagree about the device, or the peer would wait for ever, so the connection ends.
    private func refuse(
        _ header: MessageHeader, _ error: VhostUserError, wantsAcknowledgement: Bool
    ) throws(VhostUserError) {
        let bit: UInt64 = 1 << UInt64(min(header.request, 63))
        if toldRefusals & bit == 0 {
            toldRefusals |= bit
            delegate.refused(request: header.request, error)
        }
        let request = FrontendRequest(rawValue: header.request)
        if request == .getConfiguration { return try reply(to: header, []) }
        if wantsAcknowledgement { return try reply(to: header, UInt64(1).encodedPayload) }
        if case .notOffered = error, request?.hasReplyBody != true { return }
        throw error
    }

    private func perform(_ message: inout Message) throws(VhostUserError) -> Answer {
        let number = message.header.request
        guard let request = FrontendRequest(rawValue: number), let shape = RequestShape(request),
            delegate.offeredProtocolFeatures.contains(shape.feature)
        else { throw .notOffered(request: number) }
        guard shape.payload.contains(message.payload.count) else { throw .payloadSize(message.payload.count) }
        guard shape.descriptors.contains(message.descriptors.count) else {
            throw .descriptorCount(message.descriptors.count)
        }
        switch request {
        case .getFeatures: return .body(delegate.offeredFeatures.rawValue.encodedPayload)
        case .getProtocolFeatures: return .body(delegate.offeredProtocolFeatures.rawValue.encodedPayload)
        case .getQueueCount: return .body(UInt64(delegate.queueCount).encodedPayload)
        case .getMaximumMemorySlots: return .body(UInt64(delegate.memorySlotCount).encodedPayload)
        case .getSharedMemorySizes:
            return .body(SharedMemorySizes(sizes: delegate.sharedMemorySizes).encoded)
        case .getVringBase:
            var state = try VringState(decoding: message.payload)
            state.number = UInt32(try delegate.stopRing(try ring(state.ring)))
            return .body(state.encoded)
        case .getConfiguration:
            var window = try ConfigurationWindow(decoding: message.payload)
            window.bytes = try delegate.readConfiguration(offset: window.offset, count: window.bytes.count)
            return .body(window.encoded)
        case .setVringSize, .setVringBase, .setVringEnable, .setVringAddresses:
            try performOnRing(request, message.payload)
        case .setVringKick, .setVringCall, .setVringError: try performNotifier(request, &message)
        case .setMemoryTable, .addMemoryRegion, .removeMemoryRegion: try performOnMemory(request, &message)
        default: try performOnDevice(request, &message)
        }
        return .acknowledgement
    }

    private func performOnDevice(_ request: FrontendRequest, _ message: inout Message) throws(VhostUserError)
    {
        switch request {
        case .setFeatures:
            try setFeatures(VirtioFeatures(rawValue: try UInt64(decodingPayload: message.payload)))
        case .setProtocolFeatures:
            let features = ProtocolFeatures(rawValue: try UInt64(decodingPayload: message.payload))
            guard delegate.offeredProtocolFeatures.contains(features) else { throw .invalidValue }
            try delegate.setProtocolFeatures(features)
        case .setOwner: try delegate.setOwner()
        case .resetOwner: try delegate.resetOwner()
        case .resetDevice: try delegate.resetDevice()
        case .setBackendChannel:
            guard let socket = message.descriptors.takeFirst() else { throw .descriptorCount(0) }
            try delegate.setBackendChannel(socket)
        case .setConfiguration:
            let window = try ConfigurationWindow(decoding: message.payload)
            try delegate.writeConfiguration(offset: window.offset, window.bytes)
        default: throw .notOffered(request: request.rawValue)
        }
    }

    private func setFeatures(_ features: VirtioFeatures) throws(VhostUserError) {
        guard delegate.offeredFeatures.contains(features) else { throw .invalidValue }
        try delegate.setFeatures(features)
        // Spec, "Ring states": without the extensions SET_VRING_ENABLE does not exist and rings start enabled.
        if !features.contains(.protocolFeatures) {
            for ring in 0..<delegate.queueCount { try delegate.setRingEnabled(ring, true) }
        }
    }

    private func performOnMemory(_ request: FrontendRequest, _ message: inout Message) throws(VhostUserError)
    {
        if request == .setMemoryTable {
            let regions = try MemoryTable(decoding: message.payload).regions
            guard regions.allSatisfy(\.isPlausible) else { throw .invalidValue }
            guard message.descriptors.count == regions.count else {
                throw .descriptorCount(message.descriptors.count)
            }
            var files = ReceivedDescriptors()
            swap(&files, &message.descriptors)
            return try delegate.setMemoryTable(regions, files: files)
        }
        let region = try RegionDescription(decodingSingle: message.payload)
        guard region.isPlausible else { throw .invalidValue }
        if request == .removeMemoryRegion { return try delegate.removeMemoryRegion(region) }
        guard let file = message.descriptors.takeFirst() else { throw .descriptorCount(0) }
        try delegate.addMemoryRegion(region, file: file)
    }

    private func performOnRing(_ request: FrontendRequest, _ payload: [UInt8]) throws(VhostUserError) {
        if request == .setVringAddresses {
            let addresses = try VringAddresses(decoding: payload)
            let loggable = delegate.offeredFeatures.contains(.logAll)
            guard loggable || addresses.flags & VringAddresses.logFlag == 0 else { throw .invalidValue }
            return try delegate.setRingAddresses(try ring(addresses.ring), addresses)
        }
        let state = try VringState(decoding: payload)
        let ring = try ring(state.ring)
        switch request {
        case .setVringSize:
            // virtio 1.3 §2.7: a power of two, at most 32768.
            guard state.number.nonzeroBitCount == 1, state.number <= Self.maximumRingSize else {
                throw .invalidValue
            }
            try delegate.setRingSize(ring, UInt16(truncatingIfNeeded: state.number))
        case .setVringBase:
            guard let base = UInt16(exactly: state.number) else { throw .invalidValue }
            try delegate.setRingBase(ring, base)
        default:
            guard state.number <= 1 else { throw .invalidValue }
            try delegate.setRingEnabled(ring, state.number == 1)
        }
    }

    private func performNotifier(_ request: FrontendRequest, _ message: inout Message) throws(VhostUserError)
    {
        let notifier = try VringNotifier(decoding: message.payload)
        let ring = try ring(UInt32(notifier.ring))
        guard message.descriptors.count == (notifier.hasDescriptor ? 1 : 0) else {
            throw .descriptorCount(message.descriptors.count)
        }
        let event = message.descriptors.takeFirst()
        switch request {
        case .setVringKick: try delegate.setRingKick(ring, event)
        case .setVringCall: try delegate.setRingCall(ring, event)
        default: try delegate.setRingError(ring, event)
        }
    }

    private func ring(_ number: UInt32) throws(VhostUserError) -> Int {
        guard let ring = Int(exactly: number), ring < delegate.queueCount else {
            throw .ringOutOfRange(number)
        }
        return ring
    }
}
