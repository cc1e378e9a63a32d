// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// What a daemon uses while its guest wants nothing. Processor time, which says nothing about how fast this machine is.
@Suite struct IdleTests {
    /// A thousandth of the time that passes.
    private static let allowed = 1e-3

    private func processorNanoseconds(of process: pid_t) throws -> Int64 {
        var clock = clockid_t()
        var time = timespec()
        #expect(clock_getcpuclockid(process, &clock) == 0)
        guard clock_gettime(clock, &time) == 0 else { throw Errno(rawValue: errno) }
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// What it used during two seconds, as a share of the time that passed.
    private func usage(of daemon: DaemonProcess, listening: pid_t) throws -> Double {
        // The kernel adds what a thread uses to its process's time when it is interrupted or sleeps, so what came before may
        // not have been counted yet.
        #expect(daemon.child.wait(milliseconds: 100) == nil)
        let (began, before) = (monotonicNanoseconds(), try processorNanoseconds(of: listening))
        #expect(daemon.child.wait(milliseconds: 2000) == nil)
        let used = try processorNanoseconds(of: listening) - before
        return Double(used) / Double(monotonicNanoseconds() - began)
    }

    @Test(arguments: ["auto", "200"]) func anIdleGuestCostsNothing(poll: String) throws {
        let daemon = try DaemonProcess(["--num-request-queues=4", "--poll-us=\(poll)", "--log-level=debug"])
        var options = FrontendOptions()
        options.requestQueues = 4
        let frontend = try DeviceFrontend(connectingTo: daemon.socket, options: options)
        let process = peer(of: frontend)
        let guest = FuseClient(frontend)
        _ = try guest.initialize()
        #expect(try usage(of: daemon, listening: process) <= Self.allowed)
        // Requests that follow each other closely, so that watching the ring pays.
        let before = try processorNanoseconds(of: process)
        for _ in 0..<3000 { _ = try guest.getattr(.root) }
        let burst = try processorNanoseconds(of: process) - before
        #expect(burst > 3000 * 1000, "the burst is seen: a request takes more than a microsecond")
        #expect(try usage(of: daemon, listening: process) <= Self.allowed)
        daemon.child.signal(SIGTERM)
        try daemon.waitForLine("watched the ring")
    }

    /// A new memory table wakes the workers once, so that the old one is let go of.
    @Test func soDoesOneWithMoreMemory() throws {
        let daemon = try DaemonProcess(["--num-request-queues=1", "--log-level=debug"])
        let frontend = try DeviceFrontend(connectingTo: daemon.socket)
        let process = peer(of: frontend)
        _ = try FuseClient(frontend).initialize()
        let plugged = try GuestRAM(byteCount: 1 << 20, guestBase: 1 << 40, userBase: 0x7f00_0000_0000)
        try frontend.session.addMemoryRegion(plugged.regions[0], file: plugged.file)
        #expect(try usage(of: daemon, listening: process) <= Self.allowed)
    }
}
