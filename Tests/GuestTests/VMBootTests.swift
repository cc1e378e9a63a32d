// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@testable import Guest

/// Guests without shares: the machinery itself. What a share does is tested in VMTests.
@Suite(.serialized) struct VMBootTests {
    /// All that one guest is asked, so that it boots once.
    private func checkCommands(_ configuration: GuestConfiguration) throws {
        let guest = try GuestMachine(booting: configuration)

        let streams = try guest.execute(GuestCommand("printf 'a\\n\\tb'; printf c >&2; exit 7"))
        #expect(streams.text == "a\n\tb")
        #expect(streams.errorText == "c")
        #expect(streams.exitStatus == 7)

        var echo = GuestCommand("cat")
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        echo.input = .bytes(bytes)
        #expect(try guest.execute(echo).output == bytes)

        // Input that nobody reads does not reach the next command.
        var ignoring = GuestCommand("exit 1")
        ignoring.input = .bytes(bytes)
        #expect(try guest.execute(ignoring).exitStatus == 1)
        #expect(try guest.execute(GuestCommand("cat; echo end")).text == "end\n")

        // What a command leaves behind ends with it and does not hold up the answer.
        #expect(try guest.execute(GuestCommand("sleep 1000 & echo left")).text == "left\n")
        #expect(try guest.execute(GuestCommand("ps | grep -c '[s]leep 1000'")).text == "0\n")
        #expect(try guest.execute(GuestCommand("kill -9 $$")).exitStatus == 137)
        #expect(try guest.execute(GuestCommand(arguments: ["echo", "it's", "$HOME"])).text == "it's $HOME\n")

        guest.shutDown()
    }

    @Test(.enabled(if: requirementsMet("VMBoot.qemu", .qemu)))
    func qemu() throws { try checkCommands(GuestConfiguration()) }

    @Test(.enabled(if: requirementsMet("VMBoot.lab", .qemu, .lab)))
    func lab() throws { try checkCommands(Lab.configuration) }

    @Test(.enabled(if: requirementsMet("VMBoot.uml", .uml)))
    func uml() throws {
        var configuration = GuestConfiguration()
        configuration.machine = .uml
        try checkCommands(configuration)
    }

    @Test(.enabled(if: requirementsMet("VMBoot.timeout", .uml)))
    func commandThatTakesTooLong() throws {
        var configuration = GuestConfiguration()
        configuration.machine = .uml
        var command = GuestCommand("sleep 1000")
        command.timeoutMilliseconds = 200
        let error = #expect(throws: GuestError.self) { try GuestMachine.run(configuration, command) }
        guard case .timedOut = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(.enabled(if: requirementsMet("VMBoot.panic", .uml)))
    func guestThatDies() throws {
        var configuration = GuestConfiguration()
        configuration.machine = .uml
        let command = GuestCommand("echo c >/proc/sysrq-trigger; sleep 1000")
        let error = #expect(throws: GuestError.self) { try GuestMachine.run(configuration, command) }
        guard case .died(_, let log) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(log.contains("panic"))
    }

    @Test(.enabled(if: requirementsMet("VMBoot.stop", .uml)))
    func stopDescriptorEndsIt() throws {
        let stop = try EventFD()
        var configuration = GuestConfiguration()
        configuration.machine = .uml
        configuration.stopDescriptor = stop.descriptor.rawValue
        stop.signal()
        let error = #expect(throws: GuestError.self) {
            try GuestMachine.run(configuration, GuestCommand("true"))
        }
        guard case .stopped = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(.enabled(if: requirementsMet("VMBoot.badArguments", .qemu)))
    func machineThatRefusesToStart() throws {
        var configuration = GuestConfiguration()
        configuration.accelerator = .tcg
        configuration.machineArguments = ["-no-such-option"]
        let error = #expect(throws: GuestError.self) { try GuestMachine(booting: configuration) }
        guard case .died(_, let log) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(log.contains("no-such-option"))
    }
}
