// SPDX-License-Identifier: Apache-2.0
import VhostUser

/// `struct virtio_pci_common_cfg` (virtio 1.3 §4.1.4.3): how a driver negotiates with the device and sets up its queues.
///
/// Whatever the driver writes, in whatever order and width, either has the meaning that the specification gives it or none.
struct CommonConfiguration {
    /// No vector.
    static let noVector: UInt16 = 0xffff

    /// One queue's registers.
    struct Queue: Equatable {
        var size: UInt16
        var vector = CommonConfiguration.noVector
        var isEnabled = false
        /// Guest addresses.
        var descriptors: UInt64 = 0
        var available: UInt64 = 0
        var used: UInt64 = 0
    }

    struct Status: OptionSet, Equatable {
        let rawValue: UInt8
        static let acknowledge = Status(rawValue: 1)
        static let driver = Status(rawValue: 2)
        static let driverOK = Status(rawValue: 4)
        static let featuresOK = Status(rawValue: 8)
        static let needsReset = Status(rawValue: 0x40)
        static let failed = Status(rawValue: 0x80)
    }

    /// What a write asks the device to do.
    enum Effect: Equatable {
        case none
        /// Stop everything; the registers are as new already.
        case reset
        /// Every enabled queue runs from now on.
        case start
        /// This queue too.
        case startQueue(Int)
        /// Interrupts of this queue go elsewhere.
        case vector(Int)
    }

    private let offered: UInt64
    private let maximumSize: UInt16
    private let vectorCount: Int
    private var deviceSelect: UInt32 = 0
    private var driverSelect: UInt32 = 0
    private(set) var driverFeatures: UInt64 = 0
    private(set) var configurationVector = noVector
    private(set) var status: Status = []
    private var generation: UInt8 = 0
    private var selected: UInt16 = 0
    private(set) var queues: [Queue]

    init(_ shape: DeviceShape) {
        offered = shape.features.rawValue
        maximumSize = UInt16(clamping: shape.queueSize)
        vectorCount = shape.vectorCount
        queues = [Queue](repeating: Queue(size: maximumSize), count: shape.queueCount)
    }

    /// Between DRIVER_OK and reset.
    var isRunning: Bool { status.contains(.driverOK) }

    /// DEVICE_NEEDS_RESET (§2.1.2): the driver must reset us before it can go on.
    var needsReset: Bool {
        get { status.contains(.needsReset) }
        set { if newValue { status.insert(.needsReset) } else { status.remove(.needsReset) } }
    }

    mutating func reset() {
        let generation = self.generation
        let queues = [Queue](repeating: Queue(size: maximumSize), count: queues.count)
        (deviceSelect, driverSelect, driverFeatures, status, selected) = (0, 0, 0, [], 0)
        configurationVector = Self.noVector
        self.generation = generation
        self.queues = queues
    }

    // MARK: Reading

    /// The registers as they lie in memory; reading changes nothing.
    private var image: [UInt8] {
        let queue = Int(selected) < queues.count ? queues[Int(selected)] : Queue(size: 0)
        func half(_ word: UInt64, _ select: UInt32) -> UInt32 {
            select < 2 ? UInt32(truncatingIfNeeded: word >> (32 * UInt64(select))) : 0
        }
        var image = bytes(of: deviceSelect) + bytes(of: half(offered, deviceSelect))
        image += bytes(of: driverSelect) + bytes(of: half(driverFeatures, driverSelect))
        image += bytes(of: configurationVector) + bytes(of: UInt16(queues.count))
        image += [status.rawValue, generation] + bytes(of: selected)
        image += bytes(of: queue.size) + bytes(of: queue.vector) + bytes(of: UInt16(queue.isEnabled ? 1 : 0))
        image += bytes(of: selected) + bytes(of: queue.descriptors) + bytes(of: queue.available)
        return image + bytes(of: queue.used)
    }

    /// `count` bytes at `offset`; zeros behind the registers.
    func read(_ offset: UInt64, count: Int) -> [UInt8] { part(of: image, at: offset, count: count) }

    // MARK: Writing

    /// A write of the register at `offset`, whose width `value` has.
    mutating func write(_ offset: UInt64, _ value: [UInt8]) -> Effect {
        let word = number(value)
        switch (offset, value.count) {
        case (0, 4): deviceSelect = UInt32(truncatingIfNeeded: word)
        case (8, 4): driverSelect = UInt32(truncatingIfNeeded: word)
        case (12, 4): setDriverFeatures(UInt32(truncatingIfNeeded: word))
        case (16, 2): configurationVector = checked(vector: word)
        case (20, 1): return setStatus(UInt8(truncatingIfNeeded: word))
        case (22, 2): selected = UInt16(truncatingIfNeeded: word)
        default:
            guard Int(selected) < queues.count else { return .none }
            return write(Int(selected), offset, value.count, word)
        }
        return .none
    }

    /// A write of one of the registers of queue `index`.
    private mutating func write(_ index: Int, _ offset: UInt64, _ width: Int, _ word: UInt64) -> Effect {
        if offset == 26, width == 2 {
            queues[index].vector = checked(vector: word)
            return .vector(index)
        }
        // A queue in use stays as it is.
        guard !queues[index].isEnabled else { return .none }
        switch (offset, width) {
        case (24, 2):
            let size = UInt16(truncatingIfNeeded: word)
            if size > 0, size & (size - 1) == 0, size <= maximumSize { queues[index].size = size }
        case (28, 2):
            guard word == 1, status.contains(.featuresOK) else { break }
            queues[index].isEnabled = true
            return isRunning ? .startQueue(index) : .none
        case (32..<40, _): replace(&queues[index].descriptors, offset - 32, width, word)
        case (40..<48, _): replace(&queues[index].available, offset - 40, width, word)
        case (48..<56, _): replace(&queues[index].used, offset - 48, width, word)
        default: break
        }
        return .none
    }

    /// 64-bit registers are written whole or in halves (§4.1.3.1).
    private func replace(_ register: inout UInt64, _ offset: UInt64, _ width: Int, _ word: UInt64) {
        switch (offset, width) {
        case (0, 8): register = word
        case (0, 4): register = register & ~0xffff_ffff | word
        case (4, 4): register = register & 0xffff_ffff | (word << 32)
        default: break
        }
    }

    private func checked(vector word: UInt64) -> UInt16 {
        word < UInt64(vectorCount) ? UInt16(word) : Self.noVector
    }

    private mutating func setDriverFeatures(_ half: UInt32) {
        // They are settled by FEATURES_OK (§3.1.1).
        guard !status.contains(.featuresOK), driverSelect < 2 else { return }
        let shift = UInt64(driverSelect) * 32
        driverFeatures = driverFeatures & ~(0xffff_ffff << shift) | UInt64(half) << shift
    }

    private mutating func setStatus(_ value: UInt8) -> Effect {
        if value == 0 {
            reset()
            return .reset
        }
        // Only a reset takes bits away (§2.1.1), and this one is ours to set.
        var wanted = Status(rawValue: value).subtracting(.needsReset).union(status)
        if wanted.contains(.featuresOK), !status.contains(.featuresOK), !acceptsFeatures {
            wanted.remove(.featuresOK)
        }
        let starts = wanted.contains(.driverOK) && !status.contains(.driverOK)
        if starts, !wanted.contains(.featuresOK) {
            // A driver in a hurry: it must begin anew (§3.1.1).
            wanted.remove(.driverOK)
            wanted.insert(.needsReset)
        }
        status = wanted
        return starts && isRunning ? .start : .none
    }

    /// What was not offered cannot be taken, and nobody can do without VERSION_1 (§6.1).
    private var acceptsFeatures: Bool {
        driverFeatures & ~offered == 0 && driverFeatures & VirtioFeatures.version1.rawValue != 0
    }
}

/// `count` bytes of `image` from `offset` on; zeros behind its end.
func part(of image: [UInt8], at offset: UInt64, count: Int) -> [UInt8] {
    let start = Int(min(offset, UInt64(image.count)))
    let bytes = image[start..<min(image.count, start + count)]
    return Array(bytes) + [UInt8](repeating: 0, count: count - bytes.count)
}
