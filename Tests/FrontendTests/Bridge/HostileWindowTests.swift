// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Testing
import VhostUser

@testable import Frontend

/// Daemons that offer a window and do with it what they should not.
@Suite(.serialized, .enabled(if: canMount("HostileWindowTests"))) struct HostileWindowTests {
    /// Says that the file is to be mapped, and answers SETUPMAPPING as it is told.
    private func script(_ setup: ScriptedDaemon.Answer) -> ScriptedDaemon.Script {
        { request in
            switch request.opcode {
            case .lookup:
                guard request.body == Array("f\0".utf8) else { return nil }
                var entry = EntryOut()
                entry.nodeID = 2
                entry.attributes = Self.attributes
                return .success(OrdinaryAnswers.bytes(entry))
            case .getattr:
                guard request.header.nodeID == 2 else { return nil }
                var reply = AttrOut()
                reply.attributes = Self.attributes
                return .success(OrdinaryAnswers.bytes(reply))
            case .open:
                // Each read(2) is a READ.
                var reply = OpenOut()
                reply.openFlags = OpenOutFlags.directIO
                return .success(OrdinaryAnswers.bytes(reply))
            case .setupMapping: return setup
            default: return nil
            }
        }
    }

    private static var attributes: Attributes {
        var result = OrdinaryAnswers.attributes(2)
        result.flags = AttributeFlags.dax
        return result
    }

    private func with(
        _ setup: ScriptedDaemon.Answer, windowByteCount: UInt64 = 8 << 20, _ body: (MountBench) throws -> Void
    ) throws {
        try MountBench.with(
            windowByteCount: windowByteCount, { $0.windowByteCount = .max }, script: script(setup), body)
    }

    private let reading = "for i in 1 2 3 4; do dd if=$M/f bs=64k 2>/dev/null | cksum; done | sort -u | wc -l"

    /// Whatever becomes of SETUPMAPPING, callers get the file's bytes.
    @Test(arguments: ["silence", "refusal", "lie", "nonsense"]) func setups(kind: String) throws {
        let answer: ScriptedDaemon.Answer =
            switch kind {
            case "silence": .silence
            case "refusal": .failure(.ENOSPC)
            case "lie": .success([])
            default: .raw([1, 2, 3])
            }
        try with(answer) { (bench) throws in
            let caller = try bench.start(reading)
            #expect(caller.status == 0)
            #expect(caller.text == "1\n")
            let counts = try #require(bench.mount.windowCounts)
            #expect(counts.hits == 0 && counts.misses >= 64, "\(counts)")
            let setups = bench.daemon.seen.count { $0.opcode == .setupMapping }
            #expect(setups == 1, "\(setups)")
            #expect(bench.mount.wait(timeoutMilliseconds: 0) == nil)
            #expect(bench.mount.unmount() == .idle)
        }
    }

    @Test func aChannelThatEnds() throws {
        try with(.silence) { (bench) throws in
            #expect(try bench.run("cat $M/f >/dev/null") == 0)
            bench.daemon.closeChannel()
            #expect(
                bench.mount.wait(timeoutMilliseconds: MountBench.deadline)
                    == .daemonFailed(.channel(.disconnected)))
        }
    }

    @Test func whatIsNoRequest() throws {
        try with(.silence) { (bench) throws in
            let channel = try #require(bench.daemon.channel)
            try channel.send(request: 9, flags: .answer)
            #expect(
                bench.mount.wait(timeoutMilliseconds: MountBench.deadline)
                    == .daemonFailed(.channel(.unexpectedMessage(request: 9, flags: 5))))
        }
    }

    @Test(arguments: [0, 1 << 20] as [UInt64]) func noWindow(byteCount: UInt64) throws {
        let failure = #expect(throws: StartupError.self) {
            try with(.silence, windowByteCount: byteCount) { _ in }
        }
        #expect(failure?.reason == "the daemon has none of at least 2 MiB")
    }
}
