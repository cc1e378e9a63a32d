// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import VfioUser
import VhostUser

/// A virtio file system device on the PCI bus (virtio 1.3 §4.1, §5.11), whose requests a vhost-user daemon serves.
///
/// A VMM reaches it by a `VfioSession`. Guest memory and interrupts that the VMM gives us go on to the daemon, so that requests
/// and their completions do not pass through here; what does is configuration, and the guest's kicks.
package final class FileSystemDevice: VfioDevice {
    let shape: DeviceShape
    let service: QueueService
    package let interruptLines: Interrupts
    private let map = GuestMap()
    private var space: ConfigurationSpace
    private var registers: CommonConfiguration
    private let windowAddress: WindowAddress

    package init(
        _ shape: DeviceShape, windowAddress: WindowAddress,
        mountPatience: Int32 = DeviceOptions().mountPatience
    ) throws(Errno) {
        self.shape = shape
        self.windowAddress = windowAddress
        space = ConfigurationSpace(shape)
        registers = CommonConfiguration(shape)
        interruptLines = try Interrupts(vectorCount: shape.vectorCount)
        service = try QueueService(
            queueCount: shape.queueCount, map: map, interrupts: interruptLines, mountPatience: mountPatience)
        service.needsReset = { [unowned self] needed in setNeedsReset(needed) }
    }

    /// The VMM has gone: everything of it is given back.
    package func disconnect() {
        service.stop()
        interruptLines.reset()
        map.unmapAll()
        service.releaseMemory()
        registers.reset()
        space.reset()
        applySpace()
    }

    private func setNeedsReset(_ needed: Bool) {
        guard registers.needsReset != needed else { return }
        registers.needsReset = needed
        // §2.1.2: the driver is told once it runs.
        if needed, registers.isRunning {
            interruptLines.signalConfiguration(vector: registers.configurationVector)
        }
    }

    // MARK: Regions

    package func region(_ index: UInt32) -> RegionInfo {
        switch index {
        case UInt32(BAR.registers): return RegionInfo(size: RegisterPart.byteCount)
        case UInt32(BAR.vectors): return RegionInfo(size: VectorTable.byteCount)
        case UInt32(BAR.tables):
            guard let tables = shape.tables else { return .none }
            return RegionInfo(
                size: barByteCount(tables.byteCount), isWritable: false, mappable: [0..<tables.byteCount],
                file: tables.file)
        case UInt32(BAR.window):
            guard let size = shape.windowByteCount else { return .none }
            return RegionInfo(size: size)
        case RegionIndex.configuration: return RegionInfo(size: UInt64(ConfigurationSpace.byteCount))
        default: return .none
        }
    }

    package func read(_ region: UInt32, at offset: UInt64, count: Int) throws(Errno) -> [UInt8] {
        switch region {
        case UInt32(BAR.registers): return readRegisters(offset, count)
        case UInt32(BAR.tables):
            guard let tables = shape.tables, offset < tables.byteCount,
                UInt64(count) <= tables.byteCount - offset
            else { break }
            return try tables.read(offset, count: count)
        case UInt32(BAR.window):
            // Where nothing is mapped, and where a file has become shorter, there are zeros.
            if let bytes = try? service.window?.readBytes(offset, count: count) { return bytes }
        case RegionIndex.configuration: return try readConfigurationSpace(offset, count)
        default: break
        }
        return [UInt8](repeating: 0, count: count)
    }

    package func write(_ region: UInt32, at offset: UInt64, _ bytes: [UInt8]) throws(Errno) {
        switch region {
        case UInt32(BAR.registers): writeRegisters(offset, bytes)
        case UInt32(BAR.window):
            try? unsafe bytes.withUnsafeBytes { (source) throws(Errno) in
                try unsafe service.window?.write(source, at: offset)
            }
        case RegionIndex.configuration: try writeConfigurationSpace(offset, bytes)
        default: break
        }
    }

    // MARK: Configuration space

    private func readConfigurationSpace(_ offset: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
        let start = Int(offset)
        let range = start..<start + count
        if range == space.accessData.prefix(count), let target = accessTarget(count) {
            return try read(target.region, at: target.offset, count: count)
        }
        return space.read(range, interruptPending: interruptLines.isLinePending)
    }

    private func writeConfigurationSpace(_ offset: UInt64, _ bytes: [UInt8]) throws(Errno) {
        if Int(offset) == space.accessData.lowerBound, let target = accessTarget(bytes.count) {
            return try write(target.region, at: target.offset, bytes)
        }
        space.write(Int(offset), bytes)
        applySpace()
    }

    /// What the configuration space says goes for what depends on it.
    private func applySpace() {
        if interruptLines.isLineDisabled != space.disablesLine {
            interruptLines.isLineDisabled = space.disablesLine
        }
        if shape.windowByteCount != nil {
            windowAddress.set(space.address(ofBAR: BAR.window))
        }
    }

    /// What an access of `count` bytes to the data of the capability that reaches the BARs means; nil: nothing.
    private func accessTarget(_ count: Int) -> (region: UInt32, offset: UInt64)? {
        let target = space.accessTarget
        let size = region(UInt32(target.bar)).size
        guard target.bar < 6, target.length == count, [1, 2, 4].contains(count), target.offset < size,
            UInt64(count) <= size - target.offset, target.offset % UInt64(count) == 0
        else { return nil }
        return (UInt32(target.bar), target.offset)
    }

    // MARK: Registers

    private func readRegisters(_ offset: UInt64, _ count: Int) -> [UInt8] {
        let (start, place) = offset.split
        switch start {
        case RegisterPart.common: return registers.read(place, count: count)
        case RegisterPart.interruptStatus where place == 0:
            return part(of: [interruptLines.takeStatus()], at: 0, count: count)
        case RegisterPart.configuration: return part(of: shape.configuration, at: place, count: count)
        default: return [UInt8](repeating: 0, count: count)
        }
    }

    private func writeRegisters(_ offset: UInt64, _ bytes: [UInt8]) {
        let (start, place) = offset.split
        switch start {
        case RegisterPart.notify:
            let index = place / UInt64(RegisterPart.notifyStride)
            if index < UInt64(shape.queueCount) { service.kick(Int(index)) }
        case RegisterPart.common: carryOut(registers.write(place, bytes))
        default: break
        }
    }

    private func carryOut(_ effect: CommonConfiguration.Effect) {
        let queues = registers.queues
        switch effect {
        case .none: break
        case .reset:
            service.stop()
            interruptLines.clearCauses()
        case .start:
            service.start(
                queues.enumerated().filter { $0.element.isEnabled }.map { ($0.offset, $0.element) },
                features: VirtioFeatures(rawValue: registers.driverFeatures))
        case .startQueue(let index): service.startLate(index, queues[index])
        case .vector: updateCalls()
        }
    }

    private func updateCalls() {
        let queues = registers.queues
        service.updateCalls { queues[$0].vector }
    }

    // MARK: Interrupts

    package func interrupts(_ index: InterruptIndex) -> InterruptInfo {
        switch index {
        case .intx: InterruptInfo(count: 1, isMaskable: true)
        case .msi: InterruptInfo(count: 0)
        case .msix: InterruptInfo(count: UInt32(shape.vectorCount))
        // Ours never fails like this and never wants to be unplugged, but a VMM may ask to be told.
        case .error, .request: InterruptInfo(count: 1)
        }
    }

    package func change(
        _ index: InterruptIndex, _ change: InterruptChange, _ descriptors: inout ReceivedDescriptors
    ) throws(Errno) {
        switch (index, change) {
        case (.msix, .disable):
            for vector in 0..<shape.vectorCount { interruptLines.setVector(vector, nil) }
            updateCalls()
        case (.msix, .assign(let start, let count)):
            for vector in start..<start + count {
                interruptLines.setVector(Int(vector), descriptors.takeShared())
            }
            updateCalls()
        case (.msix, .trigger(let start, let flags)):
            for (vector, isSet) in zip(Int(start)..., flags) where isSet {
                interruptLines.test(vector: vector)
            }
        case (.intx, .disable): interruptLines.setLine(nil)
        case (.intx, .assign): interruptLines.setLine(descriptors.takeShared())
        case (.intx, .trigger(_, let flags)): if flags == [true] { interruptLines.testLine() }
        case (.intx, .mask(_, let flags)): if flags == [true] { interruptLines.maskLine() }
        case (.intx, .unmask(_, let flags)): if flags == [true] { interruptLines.unmaskLine() }
        case (.error, _), (.request, _): break
        default: throw .EINVAL
        }
    }

    // MARK: Memory and reset

    package var maximumMaps: Int { GuestMap.maximumRanges }

    package func map(_ range: DMARange, _ file: consuming OwnedDescriptor?) throws(Errno) {
        try map.map(range, file)
        service.memoryChanged()
    }

    package func unmap(address: UInt64, size: UInt64) throws(Errno) {
        try map.unmap(address: address, size: size)
        service.memoryChanged()
    }

    package func unmapAll() throws(Errno) {
        map.unmapAll()
        service.memoryChanged()
    }

    package func reset() throws(Errno) {
        service.stop()
        interruptLines.clearCauses()
        registers.reset()
        space.reset()
        applySpace()
    }
}

extension UInt64 {
    /// A place in BAR 0: the part's beginning and the offset in it.
    fileprivate var split: (part: UInt64, offset: UInt64) {
        let offset = self % RegisterPart.partByteCount
        return (self - offset, offset)
    }
}

extension ReceivedDescriptors {
    /// The next one; nil when there is none left.
    fileprivate mutating func takeShared() -> SharedDescriptor? {
        if let descriptor = takeFirst() { SharedDescriptor(descriptor) } else { nil }
    }
}
