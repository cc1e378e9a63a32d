// SPDX-License-Identifier: Apache-2.0
import Errors
import HostFS
import HostOS
import MappableFiles

extension MappableFiles: MappableSource {
    package func protect(_ file: Int32) {}
    package func unprotect(_ file: Int32) {}
}
