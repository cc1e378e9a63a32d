// SPDX-License-Identifier: Apache-2.0
import CLinux
import FuseWire
import Glibc
import HostOS

// Which of a file's set-user-id and set-group-id bits are lost when it is written or cut. Without CAP_FSETID the host's kernel
// takes both away, but FUSE keeps set-group-id without group execution, which once meant mandatory locking. The host keeps
// that for members of the file's group only, so for such a file we become one; all others cost no system call more.
extension HostFS {
    /// Remembers that `node` was seen with that bit, for as long as the guest knows it: a worker that forgot it could do so by
    /// what it saw before another one set it.
    func noteMode(of node: NodeID, _ status: FileStatus) {
        // Numbers, because those of Glibc's module are calls: this is asked for each reply with attributes.
        let (setGroupID, groupExecution): (UInt16, UInt16) = (0o2000, 0o010)
        guard status.raw.stx_mode & (setGroupID | groupExecution) == setGroupID,
            status.type == FileType.regular,
            let slot = share.inodes.slots.find(node.rawValue)
        else { return }
        share.inodes.record(slot).set(VFS_INODE_MANDATORY_BIT)
    }

    /// For the next calls on `node`, open as `number`: whether they lose set-id bits. Whose ids the thread has does not matter
    /// for an open file, so the cheapest way there is taken.
    func useSetIDRule(losing: Bool, of node: NodeID, _ number: Int32) {
        if losing, let group = groupToKeep(node, number) {
            credentials.enterDaemonLosingSetID(asMemberOf: group)
        } else if losing == credentials.keepsSetID {
            enterDaemon(losingSetID: losing)
        }
    }

    /// The daemon, as which what is written or cut of `node`, open as `number`, loses set-id bits.
    func enterDaemonLosingSetID(of node: NodeID, _ number: Int32) {
        credentials.enterDaemonLosingSetID(asMemberOf: groupToKeep(node, number))
    }

    /// The group of a file that may have the bit; nil for all others.
    private func groupToKeep(_ node: NodeID, _ number: Int32) -> gid_t? {
        guard let slot = share.inodes.slots.find(node.rawValue),
            share.inodes.record(slot).has(VFS_INODE_MANDATORY_BIT)
        else { return nil }
        return (try? FileStatus(of: number))?.raw.stx_gid
    }
}
