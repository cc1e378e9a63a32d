// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseServer
import FuseWire
import Glibc

@testable import HostFS

/// Extended attributes, by request and on the host.
extension TestShare {
    func setAttribute(_ node: NodeID, _ name: String, _ value: [UInt8]) throws {
        var arguments = SetXattrIn()
        arguments.size = UInt32(value.count)
        try request { fs in
            try withText(name) { name in
                try value.withUnsafeBytes {
                    try fs.setxattr(.root, nodeID: node, name: name, value: $0, arguments)
                }
            }
        }
    }

    func attribute(_ node: NodeID, _ name: String) throws -> [UInt8] {
        try reply { buffer in
            try request { fs in
                try withText(name) {
                    _ = try fs.getxattr(
                        .root, nodeID: node, name: $0, size: 65536, sizeOnly: false, into: &buffer)
                }
            }
        }
    }

    func removeAttribute(_ node: NodeID, _ name: String) throws {
        try request { fs in
            try withText(name) { try fs.removexattr(.root, nodeID: node, name: $0) }
        }
    }

    /// The names, and what a size query says.
    func attributeNames(
        _ node: NodeID, size: Int = 65536, as caller: Caller = .root
    ) throws -> (names: [String], size: Int) {
        let bytes = try reply { buffer in
            _ = try request {
                try $0.listxattr(caller, nodeID: node, size: size, sizeOnly: false, into: &buffer)
            }
        }
        var asked = -1
        _ = try reply(capacity: 8) { buffer in
            asked = try request {
                try $0.listxattr(caller, nodeID: node, size: 0, sizeOnly: true, into: &buffer)
            }
        }
        return (bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }, asked)
    }

    // ---- the host's side ----

    func hostAttribute(_ file: String, _ name: String) -> [UInt8]? {
        fs.enterDaemon()
        var value = [UInt8](repeating: 0, count: 65536)
        let count = lgetxattr(host(file), name, &value, value.count)
        return count < 0 ? nil : Array(value[..<count])
    }

    @discardableResult func setHostAttribute(_ file: String, _ name: String, _ value: [UInt8]) -> Bool {
        fs.enterDaemon()
        return lsetxattr(host(file), name, value, value.count, 0) == 0
    }
}
