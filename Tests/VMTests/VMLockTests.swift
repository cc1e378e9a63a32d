// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import Guest
import HostOS
import Synchronization
import Testing

/// Locks of two guests, each with a daemon of its own, and of the host exclude each other.
@Suite(.serialized) struct VMLockTests {
    private final class Outcome: Sendable {
        let text = Mutex("the guest did not run")
    }

    @Test(
        .enabled(if: requirementsMet("VMLock", .qemu, .uml, .debianRoot)),
        arguments: [("flock", "--flock"), ("record", "--posix-lock")])
    func lockIsHeldAcrossGuests(kind: String, option: String) throws {
        let scratch = try ScratchDirectory()
        try scratch.write("file", "")
        let share = TestShare("locks", scratch.path, options: [option])
        let outcome = Outcome()
        let waiter = try Thread(name: "waiter") {
            do {
                let guest = try TestGuest(.uml, [share])
                guard scratch.wait({ $0.text("events").contains("holder locked") }) else { return }
                let result = try guest.output(of: "locks", in: "/mnt/locks", ["in-place", "waiter", kind])
                outcome.text.withLock { $0 = result.text + result.errorText }
                guest.end()
            } catch { outcome.text.withLock { $0 = "\(error)" } }
        }
        let host = try Thread(name: "host") {
            // The waiter must be seen to wait in the kernel before the holder may release.
            guard scratch.wait({ $0.text("events").contains("waiter waits") && Self.someoneWaits(for: $0) })
            else { return }
            Self.note(scratch, Self.hostIsRefused(scratch, kind) ? "host refused" : "host locked")
            try? scratch.write("look", "")
            guard scratch.wait({ $0.has("still served") }) else { return }
            try? scratch.write("release", "")
        }
        defer {
            host.join()
            waiter.join()
            for failure in Scenario.failures(in: outcome.text.withLock { $0 }) {
                Issue.record("the waiter's \(failure.check) of \(kind):\(failure.why)")
            }
            #expect(
                scratch.text("events").split(separator: "\n") == [
                    "holder locked", "waiter waits", "host refused", "holder releases", "waiter locked",
                    "waiter releases", "holder locked again",
                ])
        }
        let guest = try TestGuest(.stock, [share])
        try guest.run("locks", in: "/mnt/locks", ["in-place", "holder", kind])
        guest.end()
    }

    /// In /proc/locks a waiter is a line with "->"; the file is named by its inode.
    private static func someoneWaits(for scratch: ScratchDirectory) -> Bool {
        var status = stat()
        guard stat("\(scratch.path)/file", &status) == 0, let table = try? Files.text("/proc/locks") else {
            return false
        }
        return table.split(separator: "\n").contains {
            $0.contains("->") && $0.contains(":\(status.st_ino) ")
        }
    }

    private static func hostIsRefused(_ scratch: ScratchDirectory, _ kind: String) -> Bool {
        let file = OwnedDescriptor(adopting: open("\(scratch.path)/file", O_RDWR | O_CLOEXEC))
        if kind == "flock" { return flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK }
        var lock = Glibc.flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        return fcntl(file.rawValue, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)
    }

    private static func note(_ scratch: ScratchDirectory, _ event: String) {
        let file = OwnedDescriptor(adopting: open("\(scratch.path)/events", O_WRONLY | O_APPEND | O_CLOEXEC))
        _ = try? Files.writeAll(file.rawValue, Array("\(event)\n".utf8))
    }
}
