// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Testing
import Virtqueue

@testable import Frontend

/// Issue 3, "Bad input": whatever a daemon answers, callers get an answer, and the mount lives on or ends with a reason.
@Suite(.serialized, .enabled(if: canMount("HostileDaemonTests"))) struct HostileDaemonTests {
    private typealias Answer = ScriptedDaemon.Answer

    private func bytes(length: UInt32, error: Int32 = 0, unique: UInt64, body: [UInt8] = []) -> [UInt8] {
        var header = OutHeader()
        header.length = length
        header.error = error
        header.unique = unique
        return OrdinaryAnswers.bytes(header) + body
    }

    @Test func anHonestDaemonFirst() throws {
        let scratch = try TemporaryDirectory(prefix: "mount-test-")
        let expected = scratch.path + "/f"
        try Files.replace(expected, with: (0..<UInt64(OrdinaryAnswers.byteCount)).map(OrdinaryAnswers.byte))
        try MountBench.with { (bench) throws in
            #expect(try bench.run("cmp $M/f \(expected)") == 0)
            #expect(try bench.run("ls $M") == 0)
            let missing = try bench.start("cat $M/g")
            #expect(missing.status == 1)
            #expect(missing.text.contains("No such file or directory"))
        }
    }

    /// Nonsense in one reply is an I/O error of one caller.
    @Test(arguments: [
        "short", "long", "unique", "positive", "error", "length", "nothing",
    ]) func oneBadReply(kind: String) throws {
        try MountBench.with(script: { request in
            guard request.opcode == .read else { return nil }
            let unique = request.header.unique
            return switch kind {
            case "short": .raw(bytes(length: 8, unique: unique), written: 8)
            case "long": .raw(bytes(length: 4096, unique: unique), written: 16)
            case "unique": .raw(bytes(length: 16, unique: unique + 2))
            case "positive": .raw(bytes(length: 16, error: 5, unique: unique))
            case "error": .raw(bytes(length: 16, error: -512, unique: unique))
            case "length": .raw(bytes(length: 16, unique: unique, body: [1, 2, 3, 4]))
            default: .raw([])
            }
        }) { (bench) throws in
            let caller = try bench.start("cat $M/f")
            #expect(caller.status == 1)
            #expect(caller.text.contains("Input/output error"))
            #expect(try bench.run("stat $M/f") == 0, "the mount goes on")
            #expect(bench.mount.wait(timeoutMilliseconds: 0) == nil)
        }
    }

    /// Fixed-size replies: longer than room ends the mount, for the ring is broken then; shorter is made up with zeros.
    @Test func aShortStructIsMadeUp() throws {
        try MountBench.with(script: { request in
            guard request.opcode == .open else { return nil }
            return .success([7, 0, 0, 0, 0, 0, 0, 0])
        }) { (bench) throws in
            #expect(try bench.run("head -c 10 $M/f >/dev/null") == 0)
            let read = bench.daemon.seen.first { $0.opcode == .read }
            #expect(OrdinaryAnswers.load(ReadIn.self, try #require(read).body).handle == 7)
        }
    }

    /// Directory entries without sense are the kernel's to refuse.
    @Test func garbageInADirectory() throws {
        try MountBench.with(script: { request in
            request.opcode == .readdir ? .success([UInt8](repeating: 0xFF, count: 64)) : nil
        }) { (bench) throws in
            #expect(try bench.run("ls $M") != -1)
            #expect(try bench.run("cat $M/f >/dev/null") == 0)
        }
    }

    /// More in a readlink than a path can have: the kernel refuses it, we answer.
    @Test func attributesThatChangeTheirType() throws {
        try MountBench.with(script: { request in
            guard request.opcode == .getattr, request.header.nodeID == 2 else { return nil }
            var reply = AttrOut()
            reply.attributes = OrdinaryAnswers.attributes(1)
            return .success(OrdinaryAnswers.bytes(reply))
        }) { (bench) throws in
            #expect(try bench.run("stat $M/f; exec 3<$M/f; stat -L /proc/self/fd/3") != -1)
            #expect(try bench.run("ls $M") == 0)
        }
    }

    /// What breaks a ring ends the mount, at once and with a reason.
    @Test(arguments: ["room", "twice", "jump"]) func aBrokenRing(kind: String) throws {
        try MountBench.with(script: { request in
            guard request.opcode == .read else { return nil }
            return switch kind {
            case "room": .raw(bytes(length: 16, unique: request.header.unique), written: 0x7fff_ffff)
            case "twice": .twice([UInt8](repeating: 0, count: 8))
            default: .jump
            }
        }) { (bench) throws in
            let caller = try bench.start("cat $M/f; cat $M/f; cat $M/f")
            let end = bench.mount.wait(timeoutMilliseconds: MountBench.deadline)
            let faults: [RingFault] =
                switch kind {
                case "room": [.usedLengthTooLong]
                // One too many, or one that is not there: as the two are seen together or not.
                case "twice": [.usedIndexJumped, .unknownUsedElement]
                default: [.usedIndexJumped]
                }
            #expect(
                faults.contains { end == .daemonFailed(.brokeQueue(1, $0)) }, "\(String(describing: end))")
            bench.mount.close()
            #expect(caller.status > 0, "every caller gets an answer")
            #expect(try bench.run("ls $M") > 0)
        }
    }

    @Test func deathInTheMiddleOfARequest() throws {
        try MountBench.with(queues: 2, script: { $0.opcode == .read ? .hangUp : nil }) { (bench) throws in
            let callers = try (0..<4).map { _ in try bench.start("cat $M/f") }
            #expect(
                bench.mount.wait(timeoutMilliseconds: MountBench.deadline) == .daemonFailed(.disconnected))
            bench.mount.close()
            for caller in callers { #expect(caller.status > 0) }
            #expect(try bench.run("ls $M") > 0, "the dead mount covers the directory below")
            #expect(umount2(bench.path, 0) == 0)
            #expect(try bench.run("ls $M") == 0)
        }
    }

    /// Callers of a daemon that never answers are freed when the mount ends.
    @Test func silence() throws {
        try MountBench.with(script: { $0.opcode == .read ? .silence : nil }) { (bench) throws in
            let caller = try bench.start("cat $M/f")
            #expect(bench.daemon.wait { $0.opcode == .read })
            #expect(bench.mount.unmount(milliseconds: 300) != .idle)
            bench.mount.close()
            #expect(caller.status > 0)
        }
    }

    @Test(arguments: ["error", "silence", "version", "death", "nothing"])
    func noSession(kind: String) throws {
        let script: ScriptedDaemon.Script = { request in
            guard request.opcode == .initialize else { return nil }
            return switch kind {
            case "error": .failure(.EPROTO)
            case "silence": .silence
            case "version": .success([6, 0, 0, 0, 0, 0, 0, 0])
            case "death": .hangUp
            default: .raw([])
            }
        }
        let failure = #expect(throws: StartupError.self) {
            try MountBench.with({ $0.timeoutMilliseconds = 500 }, script: script) { _ in }
        }
        #expect(failure?.reason.hasPrefix("it does not start a session: ") == true)
    }
}
