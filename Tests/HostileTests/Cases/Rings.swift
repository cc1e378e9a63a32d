// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import GuestMemory
import HostOS
import Synchronization
import Virtqueue

extension HostileCase {
    /// CVE-2018-19364 and its kin: what one thread uses and another lets go of.
    static let t15 = HostileCase(
        name: "T15",
        title: "four CPUs that look up, rename, open, release and forget the same files confuse nothing"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, opponent.fourQueues)
        try rig.makeDirectory("d")
        for index in 0..<4 { try rig.write("d/f\(index)", "\(index)") }
        let queues = opponent.fourQueues.isEmpty ? 1 : 4
        let first = try rig.guest(queues: queues)
        let directory = try first.lookup(.root, "d".utf8).node
        let shared = Shared(frontend: first.frontend)
        let wrong = Mutex<[String]>([])
        let threads = try [0, 1, 2, 3].map { (number: Int) in
            try Thread(name: "cpu\(number)") { () -> Void in
                let cpu = FuseClient(shared.frontend)
                cpu.queue = number % queues + 1
                cpu.timeout = 60_000
                do throws(Errno) {
                    for round in 0..<400 { try turn(cpu, directory, round, number) }
                } catch {
                    wrong.withLock {
                        $0.append(error.meansDeath ? "the daemon ends" : "errno \(error.rawValue)")
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        for text in wrong.withLock({ $0 }) { verdict.fail(text) }
        verdict.expectSuccess(of: "a request after that") { try first.getattr(.root) }
        let names = try Files.names(in: rig.path("d"))
        verdict.expect(names.count == 4, else: "\(names.count) files are left of four")
    }

    /// Each CPU has a client of its own; what those share are the queues, which any thread may use.
    private struct Shared: @unchecked Sendable { let frontend: DeviceFrontend }

    /// One CPU's turn. What another has renamed is not there for a moment; everything else has to work.
    private static func turn(_ cpu: FuseClient, _ directory: NodeID, _ round: Int, _ number: Int)
        throws(Errno)
    {
        let name = Array("f\((round + number) % 4)".utf8)
        let entry: EntryOut
        do throws(Errno) { entry = try cpu.lookup(directory, name) } catch {
            if error == .ENOENT { return }
            throw error
        }
        if entry.nodeID == 0 { return }
        let handle = try cpu.open(entry.node, flags: Open.read).handle
        let data = try cpu.read(entry.node, handle, size: 8)
        guard data.count == 1 else { throw .EPROTO }
        if round % 3 == 0 {
            do throws(Errno) {
                try cpu.rename(directory, name, to: directory, Array("g\(number)".utf8))
                try cpu.rename(directory, Array("g\(number)".utf8), to: directory, name)
            } catch {
                if error != .ENOENT { throw error }
            }
        }
        try cpu.release(entry.node, handle)
        try cpu.forget(entry.node)
    }

    /// Loops, chains that are too long, tables in tables, buffers outside memory, indices that jump.
    static let t17 = HostileCase(
        name: "T17", title: "a ring that breaks every rule ends that ring and nothing else"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        try rig.write("file", "x")
        var random = SeededGenerator(state: 17)
        for round in 0..<60 {
            let guest = try rig.guest()
            let queue = guest.frontend.queues[1]
            scribble(queue.layout, guest.frontend.ram.regions[0].size, &random)
            queue.kick.signal()
            // Broken, answered, or still waited for: all the same, as long as the daemon is there.
            let connection = guest.frontend.session.connection.descriptor.rawValue
            let ready = waitReadable(
                queue.error.descriptor.rawValue, queue.call.descriptor.rawValue, orHangUpOf: connection,
                timeoutMilliseconds: 100)
            if ready & 0b100 != 0 || rig.end(milliseconds: 0) != nil {
                return verdict.fail("the daemon ends, and with it the share")
            }
            if round % 10 == 0 {
                verdict.expect(isQuiet(rig, guest.frontend), else: "a thread turns round and round")
            }
        }
        verdict.expect(rig.isHealthy(), else: "the daemon does not serve any more")
    }

    /// Whether the daemon has stopped working on what it was given: it uses no processor time after a while.
    private static func isQuiet(_ rig: HostileRig, _ frontend: DeviceFrontend) -> Bool {
        guard let process = try? rig.servingProcess(of: frontend) else { return true }
        for _ in 0..<50 {
            let before = try? Files.text("/proc/\(process)/schedstat")
            usleep(100_000)
            if before == (try? Files.text("/proc/\(process)/schedstat")) { return true }
        }
        return false
    }

    /// Descriptors that are nearly right, and an available index that offers some of them.
    private static func scribble(_ layout: RingLayout, _ end: UInt64, _ random: inout SeededGenerator) {
        for index in 0..<16 {
            let kind = random.next() % 8
            let address =
                kind == 0 ? random.next() : kind == 1 ? end - random.next() % 64 : random.next() % end
            let length = UInt32(truncatingIfNeeded: kind == 2 ? random.next() : random.next() % 256)
            let flags = UInt16(truncatingIfNeeded: random.next() % 8)
            let next = UInt16(truncatingIfNeeded: kind == 3 ? random.next() : random.next() % 16)
            layout.descriptors.storeRelaxed64(index * 16, address)
            layout.descriptors.storeRelaxed64(
                index * 16 + 8, UInt64(length) | UInt64(flags) << 32 | UInt64(next) << 48)
        }
        for entry in 0..<8 {
            layout.available.storeRelaxed16(4 + 2 * entry, UInt16(truncatingIfNeeded: random.next() % 17))
        }
        let index = random.next() % 8 == 0 ? random.next() : 2 + random.next() % 6
        layout.available.storeRelease16(2, UInt16(truncatingIfNeeded: index))
    }

    /// kata-containers#3373.
    static let t19 = HostileCase(
        name: "T19",
        title: "who waits for a lock does not keep the one who holds it from letting go, on the same queue"
    ) { opponent, verdict in
        guard let options = opponent.locks else {
            return verdict.note("offers no POSIX locks to guests, so nobody waits for one")
        }
        let rig = try HostileRig(opponent, options)
        try rig.write("file", "x")
        let guest = try rig.guest()
        let file = try guest.lookup(.root, "file".utf8).node
        let handle = try guest.open(file, flags: Open.readWrite).handle
        var lock = FileLock()
        (lock.type, lock.end) = (UInt32(F_WRLCK), UInt64(Int64.max))
        try guest.setlk(file, handle, owner: 1, lock)
        let waiting = try guest.submit(FuseClient.lockRequest(.setlkw, file, handle, owner: 2, lock))
        verdict.expectSuccess(of: "GETATTR behind a waiting SETLKW") { try guest.getattr(file) }
        lock.type = UInt32(F_UNLCK)
        verdict.expectSuccess(of: "unlocking behind a waiting SETLKW") {
            try guest.setlk(file, handle, owner: 1, lock)
        }
        verdict.expectSuccess(of: "the SETLKW") {
            let error = try guest.receive(waiting).header.error
            if error != 0 { throw Errno(rawValue: -error) }
        }
    }
}

/// SplitMix64: the same attacks in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
