// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// What a name is: every kind of object that a directory can hold.
package enum Kind: String, Sendable, CaseIterable {
    case regular = "regular file"
    case directory
    case fifo
    case block = "block device"
    case character = "character device"
    case socket
    case symbolicLink = "symbolic link"

    /// S_IFMT bits.
    package var bits: UInt32 {
        switch self {
        case .regular: 0o100000
        case .directory: 0o040000
        case .fifo: 0o010000
        case .block: 0o060000
        case .character: 0o020000
        case .socket: 0o140000
        case .symbolicLink: 0o120000
        }
    }

    /// All that can be unlinked.
    package static let nonDirectories = allCases.filter { $0 != .directory }
    /// All that have permissions.
    package static let withMode = allCases.filter { $0 != .symbolicLink }

    /// The call that makes one. A symbolic link leads to a name that is not there.
    package func making(_ path: Path, mode: UInt32 = 0o644) -> Call {
        switch self {
        case .regular: .open(path, O_WRONLY | O_CREAT | O_EXCL, mode)
        case .directory: .mkdir(path, mode)
        case .fifo: .mkfifo(path, mode)
        case .block: .mknod(path, bits | mode, device: Kind.unusedDevice)
        case .character: .mknod(path, bits | mode, device: Kind.nullDevice)
        case .socket: .mknod(path, bits | mode)
        case .symbolicLink: .symlink("no-such-target", path)
        }
    }

    /// /dev/null, 1:3.
    package static let nullDevice: UInt64 = 0x103
    /// 240:9, a number kept free for local use.
    package static let unusedDevice: UInt64 = 0xF009
}

/// Makes an object, whatever the umask is, and gives it to `owner`.
package func make(_ kind: Kind, _ path: Path, mode: UInt32? = nil, owner: User? = nil) throws {
    let mode = mode ?? (kind == .directory ? 0o755 : 0o644)
    try expect(kind.making(path, mode: mode))
    if let owner { try expect(.lchown(path, Int(owner.uid), Int(owner.gid))) }
    // After chown(2), which takes set-user-id away, and against the umask.
    if kind != .symbolicLink { try expect(.chmod(path, mode)) }
}

/// What lstat(2) says of a path.
package struct Status: Sendable {
    package let kind: UInt32
    package let mode: UInt32
    package let links: Int
    package let uid: UInt32
    package let gid: UInt32
    package let size: Int
    package let blocks: Int
    package let inode: UInt64
    package let device: UInt64
    /// Which device a device node is: as makedev(3).
    package let represents: UInt64
    package let access: Time
    package let modification: Time
    package let change: Time

    init(_ status: stat) {
        kind = status.st_mode & 0o170000
        mode = status.st_mode & 0o7777
        links = Int(clamping: status.st_nlink)
        uid = status.st_uid
        gid = status.st_gid
        size = Int(clamping: status.st_size)
        blocks = Int(clamping: status.st_blocks)
        inode = UInt64(status.st_ino)
        device = UInt64(status.st_dev)
        represents = UInt64(status.st_rdev)
        access = Time(status.st_atim.tv_sec, nanoseconds: status.st_atim.tv_nsec)
        modification = Time(status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        change = Time(status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec)
    }
}

/// A link is not followed.
package func status(_ path: Path) throws -> Status {
    var status = stat()
    do throws(Errno) {
        _ = try systemCall { unsafe path.withPointer { unsafe lstat($0, &status) } }
    } catch {
        throw Failure("lstat(\(path)) gave \(name(of: error)), expected success")
    }
    return Status(status)
}

package func status(of descriptor: Int32) throws -> Status {
    var status = stat()
    do throws(Errno) { _ = try systemCall { unsafe fstat(descriptor, &status) } } catch {
        throw Failure("fstat(descriptor) gave \(name(of: error)), expected success")
    }
    return Status(status)
}

/// One thing that lstat(2) should say.
package enum Fact: Sendable {
    case kind(Kind)
    /// The twelve permission bits.
    case mode(UInt32)
    case uid(UInt32)
    case gid(UInt32)
    case links(Int)
    case size(Int)
    case represents(UInt64)
    case access(Time)
    case modification(Time)
    /// The same object as an earlier status.
    case same(Status)

    /// What the fact is about, what was seen and what was expected, if they differ.
    func difference(_ seen: Status) -> String? {
        func differs<Value: Equatable>(
            _ what: String, _ seen: Value, _ expected: Value, _ show: (Value) -> String
        )
            -> String?
        {
            seen == expected ? nil : "\(what) \(show(seen)), expected \(show(expected))"
        }
        return switch self {
        case .kind(let kind):
            differs("type", seen.kind, kind.bits) { bits in
                Kind.allCases.first { $0.bits == bits }?.rawValue ?? octal(bits)
            }
        case .mode(let mode): differs("mode", seen.mode, mode, octal)
        case .uid(let uid): differs("uid", seen.uid, uid) { "\($0)" }
        case .gid(let gid): differs("gid", seen.gid, gid) { "\($0)" }
        case .links(let links): differs("link count", seen.links, links) { "\($0)" }
        case .size(let size): differs("size", seen.size, size) { "\($0)" }
        case .represents(let device): differs("device", seen.represents, device) { "\($0)" }
        case .access(let time): differs("access time", seen.access, time) { "\($0)" }
        case .modification(let time): differs("modification time", seen.modification, time) { "\($0)" }
        case .same(let other): differs("inode", seen.inode, other.inode) { "\($0)" }
        }
    }
}

/// Expects facts of a path; a link is not followed. "lstat(a) shows mode 0755, expected 0644".
package func expect(_ path: Path, _ facts: Fact...) throws {
    let seen = try status(path)
    for fact in facts {
        if let difference = fact.difference(seen) { throw Failure("lstat(\(path)) shows \(difference)") }
    }
}

/// The same of an open descriptor.
package func expect(_ descriptor: Int32, _ facts: Fact...) throws {
    let seen = try status(of: descriptor)
    for fact in facts {
        if let difference = fact.difference(seen) { throw Failure("fstat(descriptor) shows \(difference)") }
    }
}
