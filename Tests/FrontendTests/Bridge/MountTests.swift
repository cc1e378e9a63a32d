// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Testing

@testable import Frontend

@Suite(.serialized, .enabled(if: canMount("MountTests"))) struct MountTests {
    @Test func aMountThatIsUnmounted() throws {
        try MountBench.with(queues: 2) { (bench) throws in
            #expect(bench.mount.path == bench.path)
            #expect(try bench.run("cat $M/f >/dev/null; umount $M") == 0)
            #expect(bench.mount.wait(timeoutMilliseconds: MountBench.deadline) == .unmounted)
            bench.mount.close()
            #expect(bench.daemon.seen.last?.opcode == .destroy, "which the kernel does not send")
        }
    }

    @Test func aMountThatIsStopped() throws {
        let stop = try EventFD()
        try MountBench.with { (bench) throws in
            #expect(bench.mount.wait(stop: stop.descriptor.rawValue, timeoutMilliseconds: 0) == nil)
            stop.signal()
            #expect(
                bench.mount.wait(
                    stop: stop.descriptor.rawValue, timeoutMilliseconds: MountBench.deadline) == .asked)
            #expect(bench.mount.unmount() == .idle)
            #expect(try bench.run("ls $M") == 0, "the directory below")
        }
    }

    @Test func aBusyMountIsHidden() throws {
        try MountBench.with { (bench) throws in
            let user = try bench.start("cd $M && echo in && sleep 100")
            let deadline = Deadline(milliseconds: MountBench.deadline)
            while user.text.isEmpty && !deadline.hasPassed { usleep(10_000) }
            #expect(bench.mount.unmount() == .busy)
            #expect(try bench.run("test -e $M/f") == 1)
            bench.mount.close()
            user.kill()
        }
    }

    /// The bytes of WRITE reach the daemon as they are, in requests of up to 1 MiB.
    @Test func writtenData() throws {
        try MountBench.with { (bench) throws in
            let command =
                "head -c 300000 /dev/zero | tr '\\0' x | dd of=$M/f bs=1M iflag=fullblock conv=notrunc"
            #expect(try bench.run(command) == 0)
            let writes = bench.daemon.seen.filter { $0.opcode == .write }
            #expect(writes.reduce(0) { $0 + $1.body.count - 40 } == 300_000)
            #expect(writes.allSatisfy { $0.body.dropFirst(40).allSatisfy { $0 == UInt8(ascii: "x") } })
        }
    }

    /// A request that fits no slot: the name and the text of a link are longer than 1 KiB.
    @Test func aLongRequest() throws {
        try MountBench.with(script: { request in
            guard request.opcode == .symlink else { return nil }
            var entry = EntryOut()
            entry.nodeID = 3
            entry.attributes = OrdinaryAnswers.attributes(3)
            entry.attributes.mode = 0o120_777
            return .success(OrdinaryAnswers.bytes(entry))
        }) { (bench) throws in
            #expect(try bench.run("ln -s $(printf '%04000d' 7) $M/link") == 0)
            let request = try #require(bench.daemon.seen.first { $0.opcode == .symlink })
            #expect(request.body.count == 5 + 4001)
            #expect(request.body.suffix(3) == Array("07\0".utf8))
        }
    }

    @Test func readOnly() throws {
        try MountBench.with({ $0.readOnly = true }) { (bench) throws in
            let caller = try bench.start("cat $M/f >/dev/null && echo >$M/f")
            #expect(caller.status != 0)
            #expect(caller.text.contains("Read-only file system"))
        }
    }

    /// INTERRUPT goes to the queue that has the request, and the caller is freed when the daemon answers.
    @Test func aBlockedLock() throws {
        try MountBench.with(
            queues: 2,
            script: { request in
                switch request.opcode {
                case .initialize:
                    guard case .success(let body) = OrdinaryAnswers.answer(to: request) else { return nil }
                    var choice = OrdinaryAnswers.load(InitOut.self, body)
                    choice.flags |= UInt32(InitFlags.flockLocks)
                    return .success(OrdinaryAnswers.bytes(choice))
                case .setlkw: return .silence
                default: return nil
                }
            }
        ) { (bench) throws in
            let caller = try bench.start("exec flock $M/f true")
            #expect(bench.daemon.wait { $0.opcode == .setlkw })
            caller.kill()
            #expect(bench.daemon.wait { $0.opcode == .interrupt })
            let lock = try #require(bench.daemon.seen.first { $0.opcode == .setlkw })
            let interrupt = try #require(bench.daemon.seen.first { $0.opcode == .interrupt })
            #expect(interrupt.queue == lock.queue && interrupt.room == 0)
            #expect(OrdinaryAnswers.load(InterruptIn.self, interrupt.body).unique == lock.header.unique)
            #expect(bench.mount.unmount() == .busy)
            // The process cannot die before its request does.
            bench.mount.close()
            #expect(caller.status > 0)
        }
    }

    @Test(arguments: ["/no/such/directory", "/etc/passwd"]) func noMountPoint(path: String) throws {
        let failure = #expect(throws: StartupError.self) {
            try MountBench.with({ $0.mountPoint = path }) { _ in }
        }
        #expect(failure?.operation == "mount on" && failure?.subject == path)
    }

    /// A mount that nobody serves any more is in the way of another.
    @Test func aDeadMountPoint() throws {
        try MountBench.with { (bench) throws in
            bench.mount.close()
            let failure = #expect(throws: StartupError.self) {
                try MountBench.with({ $0.mountPoint = bench.path }) { _ in }
            }
            #expect(failure?.hint == "take it away with: umount \(bench.path)")
        }
    }
}
