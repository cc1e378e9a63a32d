// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing
import VhostUser

@testable import Frontend

@Suite struct PieceAnnouncerTests {
    private func options(announces: Bool = true) -> FrontendOptions {
        var options = FrontendOptions()
        options.protocolFeatures.formUnion(FrontendOptions.channelFeatures)
        options.announcesPieces = announces
        return options
    }

    /// Sends a request on the back-end's channel, and has it served.
    private func ask(
        _ backend: FakeBackend, _ frontend: DeviceFrontend, _ request: UInt32, at offset: UInt64,
        _ length: UInt64, region: UInt8 = 0, file: ScratchFile? = nil
    ) throws {
        let piece = SharedMemoryMapping(
            regionID: region, fileOffset: 4096, regionOffset: offset, length: length, flags: 1)
        let channel = try #require(backend.channel)
        try channel.send(
            request: request, flags: [.request, .needReply], payload: piece.encoded,
            descriptors: file.map { [$0.number] } ?? [])
        _ = try frontend.channel?.serveOne()
        _ = try channel.receive(timeout: 5000)
    }

    @Test func whatIsMappedIsGuestMemory() throws {
        let (backend, file) = (try FakeBackend(), try ScratchFile(pages: 4))
        let frontend = try backend.connect(options())
        let ram = backend.regions
        #expect(ram == frontend.ram.regions)

        try ask(backend, frontend, 9, at: 8192, 4097, file: file)
        try ask(backend, frontend, 9, at: 0, 4096, region: 1, file: file)
        // Windows come behind the guest's memory, at multiples of 1 GiB.
        let base = frontend.windowAddress(0).rawValue
        #expect(base == 1 << 30)
        #expect(frontend.windowAddress(1).rawValue == 2 << 30)
        let user = frontend.options.userBase
        let first = RegionDescription(
            guestAddress: base + 8192, size: 8192, userAddress: user + base + 8192, fileOffset: 4096)
        let second = RegionDescription(
            guestAddress: 2 << 30, size: 4096, userAddress: user + 2 << 30, fileOffset: 4096)
        #expect(backend.regions.dropFirst(ram.count) == [first, second])

        // What was refused is no memory, and what was not unmapped still is.
        try ask(backend, frontend, 9, at: 8192, 4096, file: file)
        try ask(backend, frontend, 10, at: 8192, 4096)
        #expect(backend.regions.count == ram.count + 2)
        try ask(backend, frontend, 10, at: 8192, 4097)
        #expect(backend.regions.dropFirst(ram.count) == [second])
        try frontend.reset()
        #expect(backend.regions == ram)
    }

    @Test func onlyWhereItIsWanted() throws {
        let (backend, file) = (try FakeBackend(), try ScratchFile(pages: 4))
        let frontend = try backend.connect(options(announces: false))
        try ask(backend, frontend, 9, at: 0, 4096, file: file)
        #expect(frontend.windows[0]?.pieces.count == 1)
        #expect(backend.regions == frontend.ram.regions)
    }
}
