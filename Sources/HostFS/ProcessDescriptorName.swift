// SPDX-License-Identifier: Apache-2.0
import CLinux

/// The name of an entry of /proc/self/fd, without the heap: valid until the next one is asked for.
@safe final class ProcessDescriptorName {
    private let text = UnsafeMutablePointer<CChar>.allocate(capacity: 12)

    init() {}
    deinit { unsafe text.deallocate() }

    func of(_ descriptor: Int32) -> UnsafePointer<CChar> {
        unsafe vfs_format_fd(descriptor, text)
        return unsafe UnsafePointer(text)
    }
}
