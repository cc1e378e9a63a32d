// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import GuestMemory
import HostOS
import Testing
import VhostUser

@Suite struct DeviceFrontendTests {
    private func connect(
        _ backend: FakeBackend, _ configure: (inout FrontendOptions) -> Void = { _ in }
    ) throws -> DeviceFrontend {
        var options = FrontendOptions()
        configure(&options)
        return try backend.connect(options)
    }

    private let oneRing: [FrontendRequest] = [
        .setVringError, .setVringSize, .setVringBase, .setVringAddresses, .setVringKick, .setVringCall,
        .setVringEnable,
    ]

    @Test func whatIsSaidInWhichOrder() throws {
        let backend = try FakeBackend()
        let frontend = try connect(backend) {
            $0.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
        }
        #expect(
            backend.takeRequests() == [
                .getFeatures, .getProtocolFeatures, .setProtocolFeatures, .setOwner, .getQueueCount,
                .setFeatures, .getSharedMemorySizes, .setBackendChannel, .addMemoryRegion,
            ] + oneRing + oneRing)
        #expect(frontend.windows.all.map(\.byteCount) == [1 << 21, 1 << 16])
        try frontend.reset()
        #expect(
            backend.takeRequests() == [
                .setVringEnable, .getVringBase, .setVringEnable, .getVringBase, .resetDevice,
            ] + oneRing + oneRing)
    }

    /// Nothing is asked that was not negotiated.
    @Test func withoutExtensions() throws {
        var plan = FakeBackend.Plan()
        plan.features = [.version1]
        let backend = try FakeBackend(plan)
        let frontend = try connect(backend) { $0.legacyWindowByteCount = 4096 }
        // The last of these has no answer; the next question does.
        _ = try frontend.stop(frontend.queues[0])
        let ring = Array(oneRing.dropLast())
        #expect(
            backend.takeRequests() == [.getFeatures, .setOwner, .setFeatures, .setMemoryTable] + ring + ring
                + [.getVringBase])
        #expect(frontend.channel == nil && frontend.windows.all.isEmpty)
        try frontend.reset()
    }

    /// A channel from before SHMEM: one window, of the size that the caller says.
    @Test(arguments: [0, 1 << 21] as [UInt64]) func aLegacyWindow(size: UInt64) throws {
        var plan = FakeBackend.Plan()
        plan.protocolFeatures.remove(.sharedMemory)
        let backend = try FakeBackend(plan)
        let frontend = try connect(backend) {
            $0.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
            $0.legacyWindowByteCount = size
        }
        #expect(frontend.channel != nil)
        #expect(frontend.windows.all.map { UInt64($0.byteCount) } == (size == 0 ? [] : [size]))
        #expect(!backend.takeRequests().contains(.getSharedMemorySizes))
    }

    @Test func buffersAndNoSlots() throws {
        let backend = try FakeBackend()
        let frontend = try connect(backend) {
            $0.depth = 0
            $0.queueSize = 1024
            $0.bufferCount = 3
            $0.bufferByteCount = 10_000
            $0.regionByteCount = 1 << 16
            $0.guestBase = 1 << 32
        }
        #expect(frontend.buffers.map(\.byteCount) == [12288, 12288, 12288])
        for (index, buffer) in frontend.buffers.enumerated() {
            #expect(buffer.address.rawValue % 4096 == 0 && UInt(bitPattern: buffer.base) % 4096 == 0)
            [UInt8](repeating: UInt8(index + 1), count: 12288).withUnsafeBytes { buffer.copy($0, at: 0) }
        }
        for (index, buffer) in frontend.buffers.enumerated() {
            #expect(
                try frontend.ram.read(12288, at: buffer.address)
                    == [UInt8](repeating: UInt8(index + 1), count: 12288))
        }
        #expect(frontend.queues.allSatisfy { $0.size == 1024 })
        #expect(throws: Errno.EAGAIN) {
            try frontend.queues[1].submit(RequestMessage([1], replyByteCount: 1))
        }
    }

    @Test func whatCannotBe() throws {
        #expect(throws: VhostUserError.system(.EFAULT), "a buffer that no region can hold") {
            try connect(try FakeBackend()) {
                $0.bufferCount = 1
                $0.bufferByteCount = 1 << 17
                $0.regionByteCount = 1 << 16
            }
        }
        for size in [0, 3, 65536] {
            #expect(throws: VhostUserError.system(.EINVAL)) {
                try connect(try FakeBackend()) { $0.queueSize = size }
            }
        }
        #expect(throws: VhostUserError.self) {
            try DeviceFrontend(connectingTo: "/nowhere/there.is.no.socket")
        }
    }
}
