// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing

@testable import PciDevice

/// A daemon that dies under a running guest.
@Suite struct LostDaemonTests {
    private let needsReset: UInt64 = 0x40

    private func isUp(_ guest: DeviceGuest) throws -> Bool { try guest.bridge.status & needsReset == 0 }

    @Test(arguments: [VMMBridge.Interrupts.vectors, .line])
    func aRemountFindsANewDaemon(interrupts: VMMBridge.Interrupts) throws {
        let rig = try DeviceRig(queues: 2)
        let guest = try DeviceGuest(rig, interrupts, queues: 2)
        #expect(try guest.exchange("before") == "hello")
        #expect(try isUp(guest))
        for round in 0..<3 {
            rig.killDaemon()
            // Nobody in the guest waits for ever: every queue answers.
            guest.client.rotatesQueues = true
            for _ in 0..<4 {
                #expect(throws: Errno.ENOTCONN) { try guest.client.lookup(.root, Array("before".utf8)) }
            }
            #expect(try !isUp(guest))
            // Vector 0, or the line, has told of it.
            #expect(
                waitReadable(guest.bridge.configurationEvent.descriptor.rawValue, timeoutMilliseconds: 10_000)
                    == 1)
            guest.bridge.configurationEvent.clear()
            // A mount without a daemon fails in the end, like everything else.
            #expect(throws: Errno.ENOTCONN) { _ = try guest.client.initialize() }
            try rig.startDaemon()
            // The old mount stays dead, whatever a new daemon would have said to its requests.
            try eventually { (try? guest.client.initialize()) != nil }
            #expect(try isUp(guest))
            #expect(try guest.exchange("after\(round)") == "hello")
        }
    }

    /// A mount that comes before the next daemon waits for it.
    @Test func aMountWaitsForTheDaemon() throws {
        let rig = try DeviceRig(mountPatience: 20_000)
        let guest = try DeviceGuest(rig)
        rig.killDaemon()
        try eventually { try !isUp(guest) }
        let carried = Carried(rig: rig)
        let later = try HostOS.Thread(name: "later") {
            usleep(700_000)
            try? carried.rig.startDaemon()
        }
        _ = try guest.client.initialize()
        later.join()
        #expect(try guest.exchange("file") == "hello")
    }

    /// The test's own thread leaves it alone meanwhile.
    private struct Carried: @unchecked Sendable { let rig: DeviceRig }

    /// Requests that the daemon had are answered when it dies.
    @Test func requestsInFlight() throws {
        let rig = try DeviceRig()
        let guest = try DeviceGuest(rig)
        for turn in 0..<300 { #expect(try guest.exchange("file\(turn)") == "hello") }
        rig.signalDaemon(SIGSTOP)
        let pending = try (0..<8).map { _ in try guest.client.submit(FuseRequest(.statfs, .root)) }
        rig.killDaemon()
        for one in pending {
            let reply = try guest.client.receive(one)
            #expect(reply.header.error == -Errno.ENOTCONN.rawValue)
        }
    }

    @Test func aDriverThatResetsGoesOnWithTheNewDaemon() throws {
        let rig = try DeviceRig()
        let guest = try DeviceGuest(rig)
        rig.killDaemon()
        try eventually { try !isUp(guest) }
        try rig.startDaemon()
        try eventually { () -> Bool in
            try guest.client.frontend.reset()
            return (try? guest.client.initialize()) != nil
        }
        #expect(try isUp(guest))
        #expect(try guest.exchange("file") == "hello")
    }

    /// A guest that boots while there is no daemon.
    @Test func noDaemonAtTheStart() throws {
        let rig = try DeviceRig()
        rig.killDaemon()
        let bridge = try rig.bridge()
        try eventually { try bridge.status & needsReset == 0 }
        let client = FuseClient(try bridge.connect(DeviceRig.options()))
        #expect(throws: Errno.ENOTCONN) { _ = try client.initialize() }
        try rig.startDaemon()
        try eventually { (try? client.initialize()) != nil }
        _ = try client.getattr(.root)
    }

    /// Waits until `condition` holds.
    private func eventually(_ condition: () throws -> Bool, at location: SourceLocation = #_sourceLocation)
        throws
    {
        let deadline = Deadline(milliseconds: 20_000)
        while !deadline.hasPassed {
            if try condition() { return }
            usleep(20_000)
        }
        Issue.record("it did not happen", sourceLocation: location)
    }
}
