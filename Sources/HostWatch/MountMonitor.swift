// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The mounts below a directory, and whether others have come.
final class MountMonitor {
    let list: MountList
    private let path: [UInt8]
    private let file: OwnedDescriptor

    init(below path: [UInt8]) throws(Errno) {
        file = OwnedDescriptor(
            adopting: try systemCall { unsafe open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) })
        self.path = path
        list = MountList(try Files.readAllFromStart(file.rawValue), below: path)
    }

    /// Cheap as long as nothing is mounted or unmounted anywhere.
    func hasNewMount() -> Bool {
        var entry = pollfd(fd: file.rawValue, events: Int16(POLLPRI), revents: 0)
        guard unsafe poll(&entry, 1, 0) > 0, entry.revents & Int16(POLLPRI | POLLERR) != 0,
            let text = try? Files.readAllFromStart(file.rawValue)
        else { return false }
        let known = Set(list.mounts.map(\.id))
        return MountList(text, below: path).mounts.contains {
            !known.contains($0.id) && $0.type != "autofs"
        }
    }
}
