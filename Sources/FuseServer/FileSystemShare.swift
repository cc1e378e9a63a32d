// SPDX-License-Identifier: Apache-2.0
import Errors

/// What the workers' `FileSystem` objects have in common; the device's handle on the file system as a whole.
package protocol FileSystemShare: AnyObject, Sendable {
    /// The file system of one more worker. Called on that worker's thread, because credentials belong to threads.
    func makeFileSystem() throws(Errno) -> any FileSystem
    /// Ends every deferred request with EINTR; returns when each of them has been asked to. Any thread.
    func cancelWaiters()
    /// The guest is gone: drops everything that it knew. Called while no worker handles a request.
    func disconnect()
}
