// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

/// A range of mapped memory, unmapped when its owner ends.
@safe public struct Mapping: ~Copyable, @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Maps `byteCount` bytes of `descriptor` from `offset`, shared, readable and (unless `readOnly`) writable.
    public init(sharing descriptor: Int32, offset: Int, byteCount: Int, readOnly: Bool = false) throws(Errno)
    {
        let protection = readOnly ? PROT_READ : PROT_READ | PROT_WRITE
        let address = unsafe mmap(nil, byteCount, protection, MAP_SHARED | MAP_NORESERVE, descriptor, offset)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw Errno(rawValue: errno) }
        unsafe base = address
        self.byteCount = byteCount
    }

    deinit { _ = unsafe munmap(base, byteCount) }
}

/// A new memfd of `byteCount` zero bytes, close-on-exec; `name` shows in /proc/self/fd.
public func makeMemoryFile(name: String, byteCount: Int) throws(Errno) -> OwnedDescriptor {
    let file = OwnedDescriptor(adopting: try systemCall { unsafe memfd_create(name, UInt32(MFD_CLOEXEC)) })
    let number = file.rawValue
    _ = try systemCall { ftruncate(number, byteCount) }
    return file
}
