// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// A POSIX access control list, as acl(5) describes it: permissions are 0…7.
package struct AccessList: Sendable {
    package var owner: UInt16
    package var users: [UInt32: UInt16] = [:]
    package var group: UInt16
    package var groups: [UInt32: UInt16] = [:]
    /// Limits `users`, `group` and `groups`; needed as soon as there is one of `users` or `groups`.
    package var mask: UInt16?
    package var other: UInt16

    package init(
        owner: UInt16, users: [UInt32: UInt16] = [:], group: UInt16, groups: [UInt32: UInt16] = [:],
        mask: UInt16? = nil, other: UInt16
    ) {
        self.owner = owner
        self.users = users
        self.group = group
        self.groups = groups
        self.mask = mask
        self.other = other
    }

    /// The attribute of what applies to an object.
    package static let access = "system.posix_acl_access"
    /// The attribute of what a directory gives to the objects made in it.
    package static let standard = "system.posix_acl_default"

    /// The attribute's value: a version, then tag, permissions and id of each entry, in the order the kernel wants.
    package var bytes: [UInt8] {
        let nobody = UInt32.max
        var entries: [(tag: UInt16, permissions: UInt16, id: UInt32)] = [(0x01, owner, nobody)]
        entries += users.sorted { $0.key < $1.key }.map { (0x02, $0.value, $0.key) }
        entries.append((0x04, group, nobody))
        entries += groups.sorted { $0.key < $1.key }.map { (0x08, $0.value, $0.key) }
        if let mask { entries.append((0x10, mask, nobody)) }
        entries.append((0x20, other, nobody))
        func little(_ value: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
        }
        return little(2, 4)
            + entries.flatMap {
                little(UInt32($0.tag), 2) + little(UInt32($0.permissions), 2) + little($0.id, 4)
            }
    }
}

extension Call {
    /// `attribute` is one of AccessList's two.
    package static func setList(_ path: Path, _ list: AccessList, as attribute: String = AccessList.access)
        -> Call
    {
        Call("setxattr(\(path), \(attribute))") {
            let bytes = list.bytes
            return unsafe path.withPointer { unsafe setxattr($0, attribute, bytes, bytes.count, 0) }
        }
    }
}

/// The value of an attribute, or nil when there is none of that name.
package func attribute(_ path: Path, _ attribute: String) throws -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: 65536)
    do throws(Errno) {
        let count = try systemCall { () -> Int in
            unsafe path.withPointer { unsafe lgetxattr($0, attribute, &value, value.count) }
        }
        return Array(value.prefix(count))
    } catch .ENODATA {
        return nil
    } catch {
        throw Failure("lgetxattr(\(path), \(attribute)) gave \(name(of: error)), expected success")
    }
}
