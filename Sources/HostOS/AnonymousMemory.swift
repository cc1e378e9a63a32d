// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc

extension Mapping {
    /// Maps `byteCount` zero bytes that belong to this process only; pages cost nothing until they are written.
    package init(anonymous byteCount: Int) throws(Errno) {
        let address = unsafe mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address = unsafe address, unsafe address != MAP_FAILED else { throw Errno(rawValue: errno) }
        unsafe base = address
        self.byteCount = byteCount
    }
}
