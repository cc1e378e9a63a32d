// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import PciDevice

/// What a driver has set in the configuration space has effects elsewhere, which go with it.
@Suite struct ResetTests {
    private let address = WindowAddress()
    private let device: FileSystemDevice

    init() throws {
        device = try FileSystemDevice(shape(window: 2 << 20), windowAddress: address)
        // The window is at 4 GiB, and the old kind of interrupts is switched off.
        try device.write(7, at: 0x24, [1, 0, 0, 0])
        try device.write(7, at: 0x04, [0x06, 0x04])
        try #require(address.current == 1 << 32)
        try #require(device.interruptLines.isLineDisabled)
    }

    @Test func byTheVMM() throws {
        try device.reset()
        #expect(address.current == nil)
        #expect(!device.interruptLines.isLineDisabled)
    }

    @Test func byAnotherVMM() {
        device.disconnect()
        #expect(address.current == nil)
        #expect(!device.interruptLines.isLineDisabled)
    }
}
