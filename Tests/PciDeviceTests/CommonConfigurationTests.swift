// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PciDevice

/// Offsets of `struct virtio_pci_common_cfg`.
private enum At {
    static let deviceSelect: UInt64 = 0, deviceFeature: UInt64 = 4, driverSelect: UInt64 = 8,
        driverFeature: UInt64 = 12
    static let configurationVector: UInt64 = 16, queueCount: UInt64 = 18, status: UInt64 = 20,
        select: UInt64 = 22
    static let size: UInt64 = 24, vector: UInt64 = 26, enable: UInt64 = 28, notify: UInt64 = 30
    static let descriptors: UInt64 = 32, available: UInt64 = 40, used: UInt64 = 48
}

@Suite struct CommonConfigurationTests {
    private func u16(_ value: UInt16) -> [UInt8] { bytes(of: value) }
    private func u32(_ value: UInt32) -> [UInt8] { bytes(of: value) }

    private func read(_ registers: CommonConfiguration, _ offset: UInt64, _ width: Int) -> UInt64 {
        number(registers.read(offset, count: width))
    }

    /// A driver that has come as far as FEATURES_OK.
    private func negotiated(_ features: UInt64 = 1 << 32 | 1 << 29) -> CommonConfiguration {
        var registers = CommonConfiguration(shape(queues: 2))
        #expect(registers.write(At.status, [1]) == .none)
        #expect(registers.write(At.status, [3]) == .none)
        for half in 0..<2 {
            _ = registers.write(At.driverSelect, u32(UInt32(half)))
            _ = registers.write(
                At.driverFeature, u32(UInt32(truncatingIfNeeded: features >> (32 * UInt64(half)))))
        }
        #expect(registers.write(At.status, [0x0b]) == .none)
        return registers
    }

    @Test func offersItsFeatures() {
        var registers = CommonConfiguration(shape())
        #expect(read(registers, At.deviceFeature, 4) == 1 << 28 | 1 << 29)
        _ = registers.write(At.deviceSelect, u32(1))
        #expect(read(registers, At.deviceFeature, 4) == 1)
        _ = registers.write(At.deviceSelect, u32(2))
        #expect(read(registers, At.deviceFeature, 4) == 0)
    }

    @Test func aDriversWay() {
        var registers = negotiated()
        #expect(registers.driverFeatures == 1 << 32 | 1 << 29)
        #expect(read(registers, At.status, 1) == 0x0b)
        #expect(read(registers, At.queueCount, 2) == 3)
        for queue in 0..<3 {
            _ = registers.write(At.select, u16(UInt16(queue)))
            #expect(read(registers, At.size, 2) == 256)
            #expect(read(registers, At.notify, 2) == UInt64(queue))
            _ = registers.write(At.size, u16(128))
            _ = registers.write(At.descriptors, u32(0x1000))
            _ = registers.write(At.descriptors + 4, u32(0x1))
            _ = registers.write(At.available, bytes(of: UInt64(0x2_0000_2000)))
            _ = registers.write(At.used, u32(0x3000))
            #expect(registers.write(At.vector, u16(UInt16(queue + 1))) == .vector(queue))
            #expect(read(registers, At.vector, 2) == UInt64(queue + 1))
            #expect(registers.write(At.enable, u16(1)) == .none)
        }
        #expect(registers.write(At.status, [0x0f]) == .start)
        #expect(registers.isRunning)
        let queue = CommonConfiguration.Queue(
            size: 128, vector: 3, isEnabled: true, descriptors: 0x1_0000_1000, available: 0x2_0000_2000,
            used: 0x3000)
        #expect(registers.queues[2] == queue)
        #expect(registers.write(At.status, [0]) == .reset)
        #expect(read(registers, At.status, 1) == 0)
        #expect(registers.driverFeatures == 0 && registers.queues[2] == .init(size: 256))
    }

    @Test func featuresThatWereNotOffered() {
        for features: UInt64 in [1 << 32 | 1, 1 << 29, 0, 1 << 32 | 1 << 34] {
            var registers = negotiated(features)
            #expect(read(registers, At.status, 1) == 3, "\(features)")
            // A driver that does not look is told to begin anew.
            #expect(registers.write(At.status, [0x0f]) == .none)
            #expect(!registers.isRunning && registers.needsReset)
        }
    }

    @Test func featuresAreSettledByFeaturesOK() {
        var registers = negotiated()
        _ = registers.write(At.driverSelect, u32(0))
        _ = registers.write(At.driverFeature, u32(0))
        #expect(registers.driverFeatures == 1 << 32 | 1 << 29)
    }

    @Test func statusOutOfOrder() {
        var registers = CommonConfiguration(shape())
        #expect(registers.write(At.status, [4]) == .none)
        #expect(!registers.isRunning && registers.needsReset)
        #expect(registers.write(At.status, [0]) == .reset)
        #expect(!registers.needsReset)
        // The driver can neither set our bit nor take bits away.
        var other = negotiated()
        _ = other.write(At.status, [0x4b])
        #expect(!other.needsReset)
        _ = other.write(At.status, [1])
        #expect(read(other, At.status, 1) == 0x0b)
        // DRIVER_OK starts once.
        #expect(other.write(At.status, [0x0f]) == .start)
        #expect(other.write(At.status, [0x0f]) == .none)
        #expect(other.write(At.status, [0x8f]) == .none)
    }

    @Test func nonsenseInQueueRegisters() {
        var registers = negotiated()
        for size: UInt16 in [0, 3, 512, 0xffff] {
            _ = registers.write(At.size, u16(size))
            #expect(registers.queues[0].size == 256)
        }
        _ = registers.write(At.vector, u16(4))  // there are 4: 0 to 3
        #expect(registers.queues[0].vector == CommonConfiguration.noVector)
        _ = registers.write(At.configurationVector, u16(77))
        #expect(registers.configurationVector == CommonConfiguration.noVector)
        #expect(registers.write(At.enable, u16(0)) == .none)
        #expect(registers.write(At.enable, u16(2)) == .none)
        #expect(!registers.queues[0].isEnabled)
        // A queue in use does not move.
        _ = registers.write(At.descriptors, u32(0x1000))
        _ = registers.write(At.enable, u16(1))
        _ = registers.write(At.descriptors, u32(0x5000))
        _ = registers.write(At.size, u16(16))
        #expect(registers.queues[0].descriptors == 0x1000 && registers.queues[0].size == 256)
        // There is no queue 3.
        _ = registers.write(At.select, u16(3))
        #expect(read(registers, At.size, 2) == 0)
        #expect(registers.write(At.enable, u16(1)) == .none)
        #expect(registers.write(At.vector, u16(1)) == .none)
    }

    @Test func aQueueIsNotEnabledBeforeFeaturesOK() {
        var registers = CommonConfiguration(shape())
        #expect(registers.write(At.enable, u16(1)) == .none)
        #expect(!registers.queues[0].isEnabled)
    }

    @Test func aQueueEnabledLate() {
        var registers = negotiated()
        #expect(registers.write(At.status, [0x0f]) == .start)
        _ = registers.write(At.select, u16(1))
        #expect(registers.write(At.enable, u16(1)) == .startQueue(1))
        #expect(registers.write(At.enable, u16(1)) == .none)
    }

    /// Every width at every offset, before and behind the registers: nothing traps, and reads have the size asked for.
    @Test func everyAccess() {
        var registers = negotiated()
        for offset in 0..<UInt64(96) {
            for width in [0, 1, 2, 3, 4, 8, 16] {
                #expect(registers.read(offset, count: width).count == width)
                _ = registers.write(offset, [UInt8](repeating: 0xa5, count: width))
            }
        }
        #expect(registers.read(4096, count: 8) == [UInt8](repeating: 0, count: 8))
        #expect(registers.queues.count == 3)
    }

    @Test func halvesOfAddresses() {
        var registers = negotiated()
        _ = registers.write(At.used, bytes(of: UInt64.max))
        _ = registers.write(At.used, u32(0x1234_5678))
        #expect(registers.queues[0].used == 0xffff_ffff_1234_5678)
        _ = registers.write(At.used + 4, u32(0x9abc_def0))
        #expect(registers.queues[0].used == 0x9abc_def0_1234_5678)
        _ = registers.write(At.used + 2, u32(0))
        _ = registers.write(At.used, [1, 2])
        #expect(registers.queues[0].used == 0x9abc_def0_1234_5678)
    }
}
