// SPDX-License-Identifier: Apache-2.0
import Conformance
import Errors
import Glibc
import HostOS
import Testing

extension Check: CustomTestStringConvertible {
    public var testDescription: String { name }
}

/// Every check on file systems that are known to be right: what fails here is a mistake of the check.
@Suite struct HostChecks {
    static let isRoot = geteuid() == 0

    @Test(arguments: Catalogue.all) func onTmpfs(_ check: Check) {
        run(check, in: "/dev/shm")
    }

    @Test(arguments: Catalogue.all) func onTheHostsFileSystem(_ check: Check) throws {
        let directory = try TemporaryDirectory(prefix: "conformance-test.")
        run(check, in: directory.path)
    }

    private func run(_ check: Check, in directory: String) {
        switch Runner(directory: directory).run(check) {
        case .passed: break
        case .failed(let reason): Issue.record("\(check.name): \(reason)")
        case .unsupported(let reason): print("unsupported in \(directory): \(check.name): \(reason)")
        }
    }
}
