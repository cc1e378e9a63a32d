// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import HostOS
import Synchronization

/// The thread that has the kernel give up what others change.
final class CacheThread: Sendable {
    private let cache: KernelCache
    private let end: EventFD
    private let thread: Mutex<Thread?>

    init(_ cache: KernelCache) throws(Errno) {
        let end = try EventFD()
        self.cache = cache
        self.end = end
        thread = Mutex(try Thread(name: "follower") { cache.follow(until: end) })
    }

    /// Nothing is told to the kernel any more. Calling it again changes nothing.
    func stop() {
        end.signal()
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
        cache.stop()
    }

    deinit { stop() }
}

extension Mount {
    /// EUSERS when 64 follow the table already.
    static func kernelCache(_ options: MountOptions) throws(Errno) -> KernelCache? {
        guard let table = options.table else { return nil }
        guard let cache = KernelCache(table) else { throw .EUSERS }
        return cache
    }
}
