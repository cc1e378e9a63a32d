// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Synchronization
import Testing

@testable import HostFS

@Suite struct RaceTests {
    /// Runs `body` on `count` threads, each with a worker of the share.
    private func onWorkers(
        _ test: TestShare, _ count: Int, _ body: @escaping @Sendable (HostFS, Int) throws -> Void
    ) throws {
        let failures = Mutex<[String]>([])
        let share = test.share
        let box = Box(failures)
        let threads = try (0..<count).map { number in
            try Thread(name: "worker\(number)") {
                do {
                    let fs = try share.makeWorker()
                    try body(fs, number)
                } catch {
                    box.add("worker \(number): \(error)")
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(box.all.isEmpty)
    }

    private final class Box: Sendable {
        private let failures: Mutex<[String]>
        init(_ failures: consuming Mutex<[String]>) { self.failures = failures }
        func add(_ text: String) { failures.withLock { $0.append(text) } }
        var all: [String] { failures.withLock { $0 } }
    }

    /// Every worker looks the same few names up, uses what it got, and forgets it again: a node that a worker counts must
    /// work until it forgets it, and in the end nothing is left.
    @Test(arguments: [FileHandlePolicy.prefer, .never])
    func lookupAgainstForget(policy: FileHandlePolicy) throws {
        let test = try TestShare(on: "/dev/shm") {
            $0.inodeFileHandles = policy
            $0.hotDescriptors = 4
        }
        for number in 0..<6 { test.write("file\(number)", String(repeating: "x", count: number)) }
        try onWorkers(test, 4) { fs, worker in
            for round in 0..<3000 {
                let number = (round + worker) % 6
                fs.requestBegan()
                let entry = try withName("file\(number)") { try fs.lookup(.root, parent: .root, name: $0) }
                fs.requestEnded()
                let node = NodeID(rawValue: entry.nodeID)
                fs.requestBegan()
                let attributes = try fs.getattr(.root, nodeID: node, handle: nil).attributes
                fs.requestEnded()
                if attributes.size != UInt64(number) { throw Errno.EIO }
                fs.requestBegan()
                fs.forget(node, count: 1)
                fs.requestEnded()
            }
        }
        #expect(test.share.knownInodes == 1)
        #expect(test.share.guestDescriptors == 0)
        #expect(test.share.retired.isEmpty)
        #expect(test.share.inodes.slots.usedSlots.count <= 1 + 6 * 2 + 4)
    }

    /// One worker reads through handles that another releases at the same time: each use succeeds or is EBADF, and never
    /// touches a descriptor that has become something else.
    @Test func useAgainstRelease() throws {
        let test = try TestShare(on: "/dev/shm")
        mkdir(test.host("d"), 0o755)
        test.write("d/inside")
        let node = try test.node("d")
        let shared = Atomic<UInt64>(0)
        let box = AtomicBox(shared)
        try onWorkers(test, 3) { fs, worker in
            for _ in 0..<2000 {
                fs.requestBegan()
                defer { fs.requestEnded() }
                if worker == 0 {
                    let former = box.value.exchange(
                        try fs.opendir(.root, nodeID: node, OpenIn()).handle,
                        ordering: .sequentiallyConsistent)
                    var release = ReleaseIn()
                    release.handle = former
                    if former != 0 { try fs.releasedir(.root, nodeID: node, release) }
                } else {
                    let handle = box.value.load(ordering: .sequentiallyConsistent)
                    guard handle != 0 else { continue }
                    do throws(Errno) {
                        let attributes = try fs.getattr(
                            .root, nodeID: node, handle: HandleID(rawValue: handle))
                        if attributes.attributes.mode & 0o170000 != 0o040000 { throw .EIO }
                    } catch {
                        if error != .EBADF { throw error }
                    }
                }
            }
        }
        #expect(test.share.guestDescriptors == 1)
        #expect(test.share.retired.isEmpty)
    }

    private final class AtomicBox: Sendable {
        let value: Atomic<UInt64>
        init(_ value: consuming Atomic<UInt64>) { self.value = value }
    }

    /// Workers make, use, release, forget and replace the same few files: every call means what it meant when it began.
    @Test func makingAgainstReleaseAndForget() throws {
        let test = try TestShare(on: "/dev/shm") { $0.hotDescriptors = 4 }
        try onWorkers(test, 4) { fs, worker in
            var arguments = CreateIn()
            arguments.flags = UInt32(O_RDWR | O_CREAT)
            arguments.mode = S_IFREG | 0o600
            for round in 0..<1500 {
                func request<R>(_ body: () throws -> R) rethrows -> R {
                    fs.requestBegan()
                    defer { fs.requestEnded() }
                    return try body()
                }
                let name = "file\((round + worker) % 3)"
                let out = try request {
                    try withName(name) { try fs.create(.root, parent: .root, name: $0, arguments) }
                }
                let node = NodeID(rawValue: out.entry.nodeID)
                do {
                    let seen = try request { try fs.getattr(.root, nodeID: node, handle: nil).attributes.ino }
                    if seen != out.entry.attributes.ino { throw Errno.EIO }
                } catch let error as Errno where error == .ESTALE {
                    // Another worker had made it, closed and replaced it, and made more since than can be hot.
                }
                let other = "file\((round + worker + 1) % 3)"
                do {
                    try request {
                        try withName(name) { from in
                            try withName(other) { to in
                                try fs.rename(
                                    .root, parent: .root, name: from, newParent: .root, newName: to, flags: 0)
                            }
                        }
                    }
                } catch let error as Errno where error == .ENOENT {}
                var release = ReleaseIn()
                release.handle = out.open.handle
                if round % 2 == 0 { request { fs.forget(node, count: 1) } }
                try request { try fs.release(.root, nodeID: node, release) }
                if round % 2 == 1 { request { fs.forget(node, count: 1) } }
            }
        }
        #expect(test.share.knownInodes == 1)
        #expect(test.share.guestDescriptors == 0)
        #expect(test.share.retired.isEmpty)
        #expect(test.openDescriptors() == 0)
    }

    /// The host makes and removes files while two workers list the directory: lookups are exactly those delivered.
    @Test func listingAgainstTheHost() throws {
        let test = try TestShare(on: "/dev/shm")
        let path = test.path
        try onWorkers(test, 3) { fs, worker in
            if worker == 0 {
                for round in 0..<4000 {
                    let name = "\(path)/file\(round % 40)"
                    close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
                    unlink("\(path)/file\((round + 20) % 40)")
                }
                return
            }
            for _ in 0..<60 {
                fs.requestBegan()
                let handle = try fs.opendir(.root, nodeID: .root, OpenIn()).handle
                fs.requestEnded()
                var arguments = ReadIn()
                arguments.handle = handle
                arguments.size = 8192
                let bytes = try reply(capacity: 8192) { buffer in
                    fs.requestBegan()
                    defer { fs.requestEnded() }
                    try fs.readdirplus(.root, nodeID: .root, arguments, into: &buffer)
                }
                for listed in try parse(bytes, plus: true) {
                    guard let node = listed.entry?.nodeID, node != 0 else { continue }
                    fs.forget(NodeID(rawValue: node), count: 1)
                }
                fs.requestBegan()
                var release = ReleaseIn()
                release.handle = handle
                try fs.releasedir(.root, nodeID: .root, release)
                fs.requestEnded()
            }
        }
        #expect(test.share.knownInodes == 1)
        #expect(test.share.guestDescriptors == 0)
    }

    /// A worker that is stuck in a request holds up what that request uses, and nothing else.
    @Test func aStuckWorkerHoldsUpOnlyItsOwn() throws {
        let test = try TestShare { $0.inodeFileHandles = .never }
        test.write("used")
        test.write("other")
        let used = try test.node("used")
        let other = try test.node("other")
        let stuck = try test.share.makeWorker()
        stuck.requestBegan()
        let number = try stuck.descriptor(of: used)
        test.request { $0.forget(used, count: 1) }
        test.request { $0.forget(other, count: 1) }
        #expect(test.share.guestDescriptors == 1)
        #expect(try FileStatus(of: number).type == FileType.regular)  // still what it was
        #expect(test.error { try $0.descriptor(of: used) } == .ESTALE)
        stuck.requestEnded()
        #expect(test.share.guestDescriptors == 0)
    }
}
