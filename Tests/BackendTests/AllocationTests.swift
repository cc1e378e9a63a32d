// SPDX-License-Identifier: Apache-2.0
import AllocationCounter
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Synchronization
import Testing

/// The request path takes nothing from the heap: counted on the worker's thread while it serves.
///
/// Only requests that succeed: the testing library boxes every error that is thrown in its process, on the heap.
@Suite struct AllocationTests {
    /// No other test has so many queues, so the thread of the last one can be told from theirs by its name.
    private static let queues = 9
    private static let worker = "requests.\(queues - 1)"
    private static let warmUp = 64
    private static let counted = 256

    /// Runs `body` often enough to be in the steady state, then counts.
    private func allocations(
        _ configure: (HostRig) throws -> Void, _ prepare: (FuseClient) throws -> () throws -> Void
    )
        throws -> Int64
    {
        let host = try HostRig(Setup(queues: Self.queues))
        try configure(host)
        let guest = try host.guest()
        guest.rotatesQueues = false
        guest.queue = Self.queues
        let body = try prepare(guest)
        let worker = try thread(named: Self.worker, of: getpid())
        for _ in 0..<Self.warmUp { try body() }
        let before = allocation_count(worker)
        for _ in 0..<Self.counted { try body() }
        #expect(before >= 0, "the worker's allocations are counted")
        return allocation_count(worker) - before
    }

    @Test func theCounterCounts() throws {
        let counts = Mutex<[Int64]>([])
        let thread = try HostOS.Thread(name: "counted") {
            let identifier = gettid()
            free(malloc(16))
            let before = allocation_count(identifier)
            for size in 1...10 { free(malloc(size * 1000)) }
            let after = allocation_count(identifier)
            counts.withLock { $0 = [before, after] }
        }
        thread.join()
        let result = counts.withLock { $0 }
        #expect(result[0] >= 1 && result[1] == result[0] + 10)
    }

    /// Everything that Shows 6 names, in one rig: a thread name that only this test uses must not exist twice.
    @Test func theSteadyStateAllocatesNothing() throws {
        var results: [(String, Int64)] = []
        var path = ""
        func measure(_ name: String, thrown: Int64 = 0, _ prepare: (FuseClient) throws -> () throws -> Void)
            throws
        {
            let count = try allocations(
                { host in
                    path = host.path("file")
                    try host.write("file", [UInt8](repeating: 7, count: 1 << 16))
                    try host.makeDirectory("d")
                    for index in 0..<20 { try host.write("d/entry\(index)", "") }
                }, prepare)
            results.append((name, max(0, count - thrown * Int64(Self.counted))))
        }
        try measure("LOOKUP") { guest in { _ = try guest.lookup(.root, "file".utf8) } }
        try measure("GETATTR") { guest in
            let file = try guest.lookup(.root, "file".utf8).node
            return { _ = try guest.getattr(file) }
        }
        try measure("READ") { guest in
            let file = try guest.lookup(.root, "file".utf8).node
            let handle = try guest.open(file, flags: Open.read).handle
            return { _ = try guest.read(file, handle, size: 1 << 16) }
        }
        if ioUringIsAllowed {
            // Two errors for each, inside the daemon: that it would wait, and that it does so elsewhere.
            try measure("READ from the disk", thrown: 2) { guest in
                let file = try guest.lookup(.root, "file".utf8).node
                let handle = try guest.open(file, flags: Open.read).handle
                return {
                    try dropFromCache(path)
                    _ = try guest.read(file, handle, offset: 8192, size: 4096)
                }
            }
        }
        try measure("WRITE") { guest in
            let file = try guest.lookup(.root, "file".utf8).node
            let handle = try guest.open(file, flags: Open.readWrite).handle
            let data = [UInt8](repeating: 9, count: 1 << 16)
            return { _ = try guest.write(file, handle, data) }
        }
        try measure("OPEN and RELEASE") { guest in
            let file = try guest.lookup(.root, "file".utf8).node
            return {
                let handle = try guest.open(file, flags: Open.read).handle
                try guest.release(file, handle)
            }
        }
        try measure("READDIRPLUS") { guest in
            let directory = try guest.lookup(.root, "d".utf8).node
            let handle = try guest.opendir(directory).handle
            return { _ = try guest.readdir(directory, handle, size: 8192, plus: true) }
        }
        for (name, count) in results {
            #expect(count == 0, "\(name): \(count) allocations in \(Self.counted) rounds")
        }
    }
}
