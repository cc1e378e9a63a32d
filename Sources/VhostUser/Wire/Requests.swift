// SPDX-License-Identifier: Apache-2.0

/// What a front-end can ask of a back-end (`VhostUserFrontendRequest`).
package enum FrontendRequest: UInt32, CaseIterable, Sendable {
    case getFeatures = 1
    case setFeatures = 2
    case setOwner = 3
    case resetOwner = 4
    case setMemoryTable = 5
    case setLogBase = 6
    case setLogDescriptor = 7
    case setVringSize = 8
    case setVringAddresses = 9
    case setVringBase = 10
    case getVringBase = 11
    case setVringKick = 12
    case setVringCall = 13
    case setVringError = 14
    case getProtocolFeatures = 15
    case setProtocolFeatures = 16
    case getQueueCount = 17
    case setVringEnable = 18
    case sendRARP = 19
    case setNetMTU = 20
    case setBackendChannel = 21
    case iotlbMessage = 22
    case setVringEndian = 23
    case getConfiguration = 24
    case setConfiguration = 25
    case createCryptoSession = 26
    case closeCryptoSession = 27
    case postcopyAdvise = 28
    case postcopyListen = 29
    case postcopyEnd = 30
    case getInflightDescriptor = 31
    case setInflightDescriptor = 32
    case setGPUSocket = 33
    case resetDevice = 34
    case vringKick = 35
    case getMaximumMemorySlots = 36
    case addMemoryRegion = 37
    case removeMemoryRegion = 38
    case setStatus = 39
    case getStatus = 40
    case getSharedObject = 41
    case setDeviceStateDescriptor = 42
    case checkDeviceState = 43
    case getSharedMemorySizes = 44

    /// The answer is a body of the request's own instead of an acknowledgement, so a peer waits for it always.
    package var hasReplyBody: Bool {
        switch self {
        case .getFeatures, .getProtocolFeatures, .getVringBase, .getQueueCount, .getConfiguration,
            .getMaximumMemorySlots, .getInflightDescriptor, .getStatus, .getSharedObject,
            .getSharedMemorySizes,
            .setLogBase, .iotlbMessage, .createCryptoSession, .postcopyAdvise, .postcopyEnd,
            .setDeviceStateDescriptor, .checkDeviceState:
            true
        default: false
        }
    }
}

/// What a back-end can ask of its front-end on the channel of SET_BACKEND_REQ_FD (`VhostUserBackendRequest`).
package enum BackendRequest: UInt32, CaseIterable, Sendable {
    case iotlbMessage = 1
    case configurationChanged = 2
    case vringHostNotifier = 3
    case vringCall = 4
    case vringError = 5
    case sharedObjectAdd = 6
    case sharedObjectRemove = 7
    case sharedObjectLookup = 8
    case sharedMemoryMap = 9
    case sharedMemoryUnmap = 10
}

/// The shape of a request that we serve: checked before any of it is believed.
struct RequestShape {
    /// How many payload bytes it may have; the decoder checks the rest.
    let payload: ClosedRange<Int>
    let descriptors: ClosedRange<Int>
    /// The protocol feature that must have been offered.
    let feature: ProtocolFeatures

    /// Nil for a request that this implementation does not serve.
    init?(_ request: FrontendRequest) {
        switch request {
        case .getFeatures, .setOwner, .resetOwner, .getProtocolFeatures: self.init(payload: 0)
        case .setFeatures, .setProtocolFeatures: self.init(payload: 8)
        case .setMemoryTable:
            self.init(
                8...8 + MemoryTable.maximumCount * RegionDescription.byteCount, 0...MemoryTable.maximumCount)
        case .setVringSize, .setVringBase, .getVringBase, .setVringEnable:
            self.init(payload: VringState.byteCount)
        case .setVringAddresses: self.init(payload: VringAddresses.byteCount)
        case .setVringKick, .setVringCall, .setVringError: self.init(8...8, 0...1)
        case .getQueueCount: self.init(payload: 0, .multiqueue)
        case .setBackendChannel: self.init(0...0, 1...1, .backendChannel)
        case .getConfiguration, .setConfiguration:
            self.init(12...12 + ConfigurationWindow.maximumByteCount, 0...0, .configuration)
        case .resetDevice: self.init(payload: 0, .resetDevice)
        case .getMaximumMemorySlots: self.init(payload: 0, .configureMemorySlots)
        case .addMemoryRegion: self.init(40...40, 1...1, .configureMemorySlots)
        // QEMU before 8 attaches the region's descriptor once more.
        case .removeMemoryRegion: self.init(40...40, 0...1, .configureMemorySlots)
        case .getSharedMemorySizes: self.init(payload: 0, .sharedMemory)
        default: return nil
        }
    }

    private init(payload: Int, _ feature: ProtocolFeatures = []) {
        self.init(payload...payload, 0...0, feature)
    }

    private init(
        _ payload: ClosedRange<Int>, _ descriptors: ClosedRange<Int>, _ feature: ProtocolFeatures = []
    ) {
        self.payload = payload
        self.descriptors = descriptors
        self.feature = feature
    }
}
