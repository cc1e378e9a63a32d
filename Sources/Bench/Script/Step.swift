// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// Where a lane keeps a nodeid that the daemon gave it.
struct NodeSlot: Hashable, Sendable {
    let index: Int
    /// The test's own directory, shared by all lanes.
    static let directory = NodeSlot(index: 0)
    /// The lane's own directory in it.
    static let home = NodeSlot(index: 1)
}

/// Where a lane keeps an open file's handle.
struct HandleSlot: Hashable, Sendable { let index: Int }

/// A name of the script.
struct NameSlot: Hashable, Sendable {
    let index: Int
    /// The name of the lane's own directory, different in each lane.
    static let lane = NameSlot(index: 0)
}

/// Which part of a file a request is about.
enum Place: Sendable {
    case at(UInt64)
    /// A random multiple of the size.
    case random
    /// Behind the lane's last `next`; at the end, from the start.
    case next
}

/// One request, or with READDIRPLUS and FORGET several, of a test. Plain data: a lane carries it out without the heap.
enum Step: Sendable {
    case lookup(NodeSlot, NameSlot, NodeSlot)
    /// A LOOKUP that must find nothing.
    case lookupMissing(NodeSlot, NameSlot)
    /// Not answered; `count` is how many lookups the guest gives back.
    case forget(NodeSlot, count: UInt64)
    /// One FORGET for each entry that READDIRPLUS has listed.
    case forgetListed
    case getattr(NodeSlot)
    case chmod(NodeSlot, mode: UInt32)
    /// SETATTR as utimensat(2) and fchown(2) with an open file.
    case setTimes(NodeSlot, HandleSlot?)
    case chown(NodeSlot, HandleSlot?)
    case create(NodeSlot, NameSlot, NodeSlot, HandleSlot)
    case open(NodeSlot, HandleSlot, flags: UInt32)
    case release(NodeSlot, HandleSlot)
    case read(NodeSlot, HandleSlot, Place, size: UInt32)
    case write(NodeSlot, HandleSlot, Place, size: UInt32)
    case mkdir(NodeSlot, NameSlot, NodeSlot)
    case rmdir(NodeSlot, NameSlot)
    case unlink(NodeSlot, NameSlot)
    case rename(NodeSlot, NameSlot, NameSlot)
    case symlink(NodeSlot, NameSlot, target: NameSlot, NodeSlot)
    case readlink(NodeSlot, target: NameSlot)
    case opendir(NodeSlot, HandleSlot)
    /// READDIRPLUS until the directory ends. Without its two dots it must have `entries`, which are kept for
    /// `forgetListed`.
    case list(NodeSlot, HandleSlot, entries: Int)
    case releasedir(NodeSlot, HandleSlot)
    case setxattr(NodeSlot, NameSlot, value: NameSlot)
    case getxattr(NodeSlot, NameSlot, value: NameSlot)
    case statfs(NodeSlot)

    var opcode: Opcode {
        switch self {
        case .lookup, .lookupMissing: .lookup
        case .forget, .forgetListed: .forget
        case .getattr: .getattr
        case .chmod, .setTimes, .chown: .setattr
        case .create: .create
        case .open: .open
        case .release: .release
        case .read: .read
        case .write: .write
        case .mkdir: .mkdir
        case .rmdir: .rmdir
        case .unlink: .unlink
        case .rename: .rename
        case .symlink: .symlink
        case .readlink: .readlink
        case .opendir: .opendir
        case .list: .readdirplus
        case .releasedir: .releasedir
        case .setxattr: .setxattr
        case .getxattr: .getxattr
        case .statfs: .statfs
        }
    }

    /// The inode that the request is about; nil for FORGETs.
    var node: NodeSlot? {
        switch self {
        case .forget, .forgetListed: nil
        case .lookup(let node, _, _), .lookupMissing(let node, _), .getattr(let node), .chmod(let node, _),
            .setTimes(let node, _), .chown(let node, _), .create(let node, _, _, _), .open(let node, _, _),
            .release(let node, _), .read(let node, _, _, _), .write(let node, _, _, _),
            .mkdir(let node, _, _), .rmdir(let node, _), .unlink(let node, _), .rename(let node, _, _),
            .symlink(let node, _, _, _), .readlink(let node, _), .opendir(let node, _),
            .list(let node, _, _), .releasedir(let node, _), .setxattr(let node, _, _),
            .getxattr(let node, _, _), .statfs(let node):
            node
        }
    }
}
