// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// The number that the next descriptor of this process gets.
func lowestFreeDescriptor() throws(Errno) -> Int32 {
    let number = try systemCall { vfs_fcntl_int(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) }
    close(number)
    return number
}

/// What is behind a descriptor of this process, for people.
func descriptorText(_ number: Int32) -> String {
    var target = [CChar](repeating: 0, count: 256)
    let length = readlink("/proc/self/fd/\(number)", &target, target.count)
    let bytes = target.prefix(max(0, length)).map { UInt8(bitPattern: $0) }
    return "descriptor \(number) (\(String(decoding: bytes, as: UTF8.self)))"
}
