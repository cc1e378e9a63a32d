// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A POSIX thread with a name, joined exactly once.
///
/// pthreads and not Task: after the first Task a process has five threads and can no longer make namespaces.
package final class Thread: Sendable {
    private let identifier: pthread_t

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts `body` on a new thread; `name` is cut to the 15 bytes the kernel keeps.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        var identifier = pthread_t()
        let box = unsafe Unmanaged.passRetained(Body(name: String(name.prefix(15)), run: body))
        // SAFETY: the box is retained above and released by the thread that takes it.
        let code = unsafe pthread_create(
            &identifier, nil,
            { @Sendable context in
                guard let context = unsafe context else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue()
                _ = unsafe pthread_setname_np(pthread_self(), body.name)
                body.run()
                return nil
            }, unsafe box.toOpaque())
        if code != 0 {
            unsafe box.release()
            throw Errno(rawValue: code)
        }
        self.identifier = identifier
    }

    /// Waits for the thread to end. Call it once.
    package func join() {
        _ = pthread_join(identifier, nil)
    }
}
