// SPDX-License-Identifier: Apache-2.0
import Frontend
import FuseWire
import HostOS
import Testing
import VhostUser

/// Guest memory is the VMM's: a daemon that keeps it mapped keeps a dead guest's gigabytes.
@Suite struct MemoryLifeTests {
    private static func mapsGuestMemory(_ daemon: DaemonProcess) throws -> Bool {
        try Files.text("/proc/\(daemon.identifier)/maps").contains("memfd:guest")
    }

    @Test func goesWithTheFrontend() throws {
        let root = try TemporaryDirectory()
        let daemon = try DaemonProcess(sharing: root.path)
        do {
            let client = FuseClient(try DeviceFrontend(connectingTo: daemon.socketPath))
            _ = try client.initialize()
            _ = try client.getattr(.root)
            #expect(try Self.mapsGuestMemory(daemon))
        }
        #expect(try eventually { try !Self.mapsGuestMemory(daemon) })
    }

    /// Also when the rings have been stopped before, so that no worker has anything else to wake up for.
    @Test func goesWithItsTable() throws {
        let root = try TemporaryDirectory()
        let daemon = try DaemonProcess(sharing: root.path)
        let frontend = try DeviceFrontend(connectingTo: daemon.socketPath)
        let client = FuseClient(frontend)
        _ = try client.initialize()
        _ = try client.getattr(.root)
        for index in 0..<2 as Range<UInt32> {
            _ = try frontend.session.ask(.getVringBase, VringState(ring: index, number: 0).encoded)
        }
        try frontend.session.send(
            request: FrontendRequest.setMemoryTable.rawValue, payload: MemoryTable(regions: []).encoded)
        #expect(try eventually { try !Self.mapsGuestMemory(daemon) })
    }
}
