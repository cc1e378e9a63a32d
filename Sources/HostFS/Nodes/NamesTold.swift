// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseWire
import HostOS

/// What the names of the share meant when the guest was last told, as far as remembered: the newest few thousand.
///
/// RMDIR and RENAME must know what is about to lose its name, and asking the host costs a call each time. Here is only a
/// hint: a name may be forgotten, and the host may have given it to another object since. Takes no lock: a place that is
/// overwritten by two workers at once, or while it is read, holds nothing.
@safe final class NamesTold: @unchecked Sendable {
    /// Two words each: the nodeid, and the key combined with it.
    private static let places: UInt64 = 4096
    private let memory: Mapping

    init() throws(Errno) { memory = try Mapping(anonymous: Int(Self.places) * 16) }

    /// What stands for `name` in `parent`: two names of one key are as good as a hint that is out of date.
    struct Key {
        fileprivate let value: UInt64

        init(_ parent: NodeID, _ name: UnsafePointer<CChar>) {
            // FNV-1a, then mixed so that the low bits depend on all.
            var hash = 0xcbf2_9ce4_8422_2325 ^ parent.rawValue &* 0x9e37_79b9_7f4a_7c15
            var next = unsafe name
            while unsafe next.pointee != 0 {
                hash = unsafe (hash ^ UInt64(UInt8(bitPattern: next.pointee))) &* 0x100_0000_01b3
                unsafe next += 1
            }
            value = hash ^ hash >> 32
        }
    }

    private func place(_ key: Key) -> UnsafeMutableRawPointer {
        unsafe memory.base + Int(truncatingIfNeeded: key.value % Self.places) * 16
    }

    /// The guest was told that the name means `node`; nil: nothing.
    func note(_ key: Key, _ node: NodeID?) {
        let place = unsafe place(key)
        let node = node?.rawValue ?? 0
        unsafe vfs_store_relaxed64(place, node)
        unsafe vfs_store_relaxed64(place + 8, key.value ^ node)
    }

    func find(_ key: Key) -> NodeID? {
        let place = unsafe place(key)
        let node = unsafe vfs_load_relaxed64(place)
        guard node != 0, unsafe vfs_load_relaxed64(place + 8) == key.value ^ node else { return nil }
        return NodeID(rawValue: node)
    }
}
