// SPDX-License-Identifier: Apache-2.0
import Errors

/// What the workers' `FileSystem` objects have in common; the device's handle on the file system as a whole.
public protocol FileSystemShare: AnyObject, Sendable {
    /// The file system of one more thread. Called on that thread, because credentials belong to threads.
    ///
    /// - Parameter mayWait: whether its operations may wait for a disk. One that may not throws `Errno.mustWait` instead,
    ///   before it has changed anything: the request is then carried out by one that may.
    func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem
    /// Ends every deferred request with EINTR; returns when each of them has been asked to. Any thread.
    func cancelWaiters()
    /// The guest is gone: drops everything that it knew. Called while no worker handles a request.
    func disconnect()
}

extension Errno {
    /// Not of the system and never seen by a guest: the operation would wait for a disk, and its file system may not.
    public static let mustWait = Errno(rawValue: .max)
}
