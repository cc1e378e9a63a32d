// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// Makes host files mappable by a VMM that wants a file to reach to the end of each mapping.
package protocol MappableSource: AnyObject, Sendable {
    /// Another file with the same data as `file`, in the same page cache, that ends nowhere: O_RDWR, as `file` is.
    func open(_ file: Int32) throws(Errno) -> OwnedDescriptor
    /// Has `DAXWindow.cut` called before anybody else makes `file` shorter, as far as the host allows.
    func protect(_ file: Int32)
    /// Ends that.
    func unprotect(_ file: Int32)
}
