// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

@testable import virtiofsd

/// The daemon as launchers see it: exit status, what it prints, its socket, its end.
@Suite struct ProcessTests {
    private func run(_ arguments: String...) throws -> (end: ChildProcess.End, output: String, errors: String)
    {
        let result = try ChildProcess.run(executable, arguments)
        return (
            result.end, String(decoding: result.output, as: UTF8.self),
            String(decoding: result.errors, as: UTF8.self)
        )
    }

    @Test func answersGoToStandardOutput() throws {
        let version = try run("--version")
        #expect(version.end == .exited(0) && version.errors.isEmpty)
        #expect(version.output == versionLine + "\n")
        let json = try run("--print-capabilities")
        #expect(json.end == .exited(0) && json.errors.isEmpty)
        #expect(json.output == capabilities + "\n")
    }

    @Test func aWrongCommandLineIsOneLineAndStatus2() throws {
        let wrong = try run("--bogus")
        #expect(wrong.end == .exited(2) && wrong.output.isEmpty)
        #expect(
            wrong.errors
                == "virtiofsd: cannot read the command line: Unknown option '--bogus'; see virtiofsd --help\n"
        )
        let nothing = try run()
        #expect(nothing.end == .exited(2) && nothing.output.isEmpty)
        #expect(nothing.errors.contains("USAGE: virtiofsd"))
    }

    @Test func whatCannotStartIsOneLineAndStatus1() throws {
        let absent = try run(
            "--shared-dir=/nonexistent", "--socket-path=/tmp/x", "--sandbox=none", "--log-level=error")
        #expect(absent.end == .exited(1) && absent.output.isEmpty)
        #expect(
            absent.errors
                == "virtiofsd: cannot share /nonexistent: No such file or directory; make the directory first\n"
        )
        let unlistening = try run("--shared-dir=/", "--fd=0", "--sandbox=none", "--log-level=error")
        #expect(unlistening.end == .exited(1))
        #expect(
            unlistening.errors
                == "virtiofsd: cannot listen on inherited descriptor 0: not a listening Unix stream "
                + "socket; bind it and listen on it before starting this program\n")
        let greedy = try run(
            "--shared-dir=/", "--socket-path=/tmp/x", "--sandbox=none", "--log-level=error",
            "--rlimit-nofile=9223372036854775807")
        #expect(greedy.end == .exited(1))
        #expect(greedy.errors.hasPrefix("virtiofsd: cannot set RLIMIT_NOFILE (--rlimit-nofile): "))
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func aSignalEndsItInOrder(signal: Int32) throws {
        let daemon = try DaemonProcess()
        var status = stat()
        #expect(lstat(daemon.socket, &status) == 0)
        #expect(status.st_mode == S_IFSOCK | 0o600)
        daemon.child.signal(signal)
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
        #expect(lstat(daemon.socket, &status) == -1 && errno == ENOENT)
    }

    @Test func aSignalEndsItWhileAGuestIsThere() throws {
        let daemon = try DaemonProcess()
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        daemon.child.signal(SIGTERM)
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
    }

    /// A lease makes open(2) on the host wait for up to 45 s, which is a request that hangs.
    @Test func aRequestThatHangsDoesNotHoldUpTheEnd() throws {
        let daemon = try DaemonProcess()
        let file = OwnedDescriptor(
            adopting: open(daemon.share + "/leased", O_RDWR | O_CREAT | O_CLOEXEC, 0o644))
        signal(SIGIO, SIG_IGN)  // sent to the lease's holder when somebody opens the file
        #expect(fcntl(file.rawValue, F_SETLEASE, F_WRLCK) == 0)
        let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
        _ = try guest.initialize()
        let node = try guest.lookup(.root, Array("leased".utf8)).nodeID
        var request = FuseRequest(.open, NodeID(rawValue: node), OpenIn())
        request.replyBodyByteCount = MemoryLayout<OpenOut>.size
        _ = try guest.submit(request)
        let deadline = Deadline(milliseconds: 30_000)
        // F_RDLCK: the open waits for us
        while fcntl(file.rawValue, F_GETLEASE) == F_WRLCK, !deadline.hasPassed {
            _ = waitReadable(-1, timeoutMilliseconds: 5)
        }
        daemon.child.signal(SIGTERM)
        try daemon.waitForLine("requests still run")
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
    }

    @Test func aSecondDaemonLeavesTheFirstItsSocket() throws {
        let daemon = try DaemonProcess()
        let second = try run(
            "--shared-dir", daemon.share, "--socket-path", daemon.socket, "--sandbox=none",
            "--log-level=error")
        #expect(second.end == .exited(1))
        #expect(
            second.errors.hasPrefix(
                "virtiofsd: cannot listen on \(daemon.socket): another process listens there"))
        _ = try FuseClient(try DeviceFrontend(connectingTo: daemon.socket)).initialize()
    }

    @Test func probesDisturbNobodyAndTheNextFrontendIsServed() throws {
        let daemon = try DaemonProcess(["--num-request-queues=2"])
        for _ in 0..<3 {
            let probe = try makeUnixSocket()
            try connectUnixSocket(probe.rawValue, to: daemon.socket)
        }
        for _ in 0..<2 {
            var options = FrontendOptions()
            options.requestQueues = 2
            let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket, options: options))
            _ = try guest.initialize()
            _ = try guest.getattr(.root)
        }
        #expect(daemon.child.end == nil)
    }

    @Test func onceEndsWithItsFirstFrontendAndNotWithAProbe() throws {
        let daemon = try DaemonProcess(["--once"])
        do {
            let probe = try makeUnixSocket()
            try connectUnixSocket(probe.rawValue, to: daemon.socket)
        }
        do {
            let guest = FuseClient(try DeviceFrontend(connectingTo: daemon.socket))
            _ = try guest.initialize()
            #expect(daemon.child.end == nil)
        }
        #expect(daemon.child.wait(milliseconds: 30_000) == .exited(0))
    }
}
