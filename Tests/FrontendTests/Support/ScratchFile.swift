// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// A memfd whose byte i is i divided by 4096, so that each page tells its number.
final class ScratchFile {
    let file: OwnedDescriptor

    init(pages: Int) throws(Errno) {
        file = try makeMemoryFile(name: "scratch", byteCount: 0)
        for page in 0..<pages {
            try Files.writeAll(
                file.rawValue, [UInt8](repeating: UInt8(truncatingIfNeeded: page), count: 4096))
        }
    }

    var number: Int32 { file.rawValue }

    /// A second descriptor that can only be read.
    func readOnly() throws(Errno) -> OwnedDescriptor {
        let path = "/proc/self/fd/\(number)"
        return OwnedDescriptor(
            adopting: try systemCall { () -> Int32 in open(path, O_RDONLY | O_CLOEXEC) })
    }

    func truncate(to size: Int) throws(Errno) {
        let number = number
        _ = try systemCall { ftruncate(number, size) }
    }

    func byte(at offset: Int) -> UInt8? {
        var byte: UInt8 = 0
        return pread(number, &byte, 1, offset) == 1 ? byte : nil
    }
}
