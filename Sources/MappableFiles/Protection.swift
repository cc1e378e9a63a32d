// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// What is announced of a file.
package enum Protection: UInt64, Sendable {
    /// Only that it is opened with O_TRUNC: of truncate(2) and its like the kernel says nothing on this file system, or before 6.14.
    case partial = 1
    /// That too, and that it is truncated or that a piece of it is cut out. But for the latter through a descriptor that is older than
    /// the protection (fallocate(2), FALLOC_FL_COLLAPSE_RANGE).
    case full = 2
}

extension MappableFiles {
    /// Has it announced from now on, before it happens, that others than this process may make `file` shorter.
    ///
    /// Whoever opens the file waits for the process's turn from now on, this process too; so does who reads or writes it through what he
    /// has opened since.
    ///
    /// - Parameter file: as for `open`.
    /// - Throws: EOPNOTSUPP where the host cannot; ENOSPC for too many files; otherwise as `open`.
    package func protect(_ file: Int32) throws(Errno) -> Protection {
        guard let protection = Protection(rawValue: try ask(.protect, file)) else { throw .EPROTO }
        return protection
    }

    /// Ends that, for all who have asked for it. Of a file that is not protected nothing comes.
    package func unprotect(_ file: Int32) throws(Errno) { _ = try ask(.unprotect, file) }

    /// The body of a thread: calls `body` for every file that somebody is about to make shorter, and how long it will be at least. It is
    /// as long as before until `body` returns, or for two seconds if that takes longer.
    ///
    /// It may not come to it, and a file may even become longer: what is announced is the length that truncate(2) and others were given.
    /// Where nobody can tell what a caller does (a thread of the kernel, io_uring, system calls of 32 bits) it is announced with the offset
    /// where that begins.
    ///
    /// Returns when the process has gone or `stop` is signalled. Nobody is held up from then on.
    package func serveAnnouncements(until stop: EventFD, _ body: (FileKey, UInt64) -> Void) {
        let socket = announcements.rawValue
        defer { _ = shutdown(socket, Int32(SHUT_RDWR)) }
        while true {
            let ready = waitReadable(socket, stop.descriptor.rawValue, timeoutMilliseconds: -1)
            if ready & 0b10 != 0 { return }
            do throws(Errno) {
                let packet = try receivePacket(as: Announcement(), from: socket).packet
                body(FileKey(device: packet.device, number: packet.number), packet.length)
                try sendPacket(Acknowledgement(token: packet.token), to: socket)
            } catch {
                if error != .EAGAIN { return }
            }
        }
    }
}
