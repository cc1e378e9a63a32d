// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

/// Node ids that no table has, and the handle of nothing.
enum AgentNode {
    static let changeList = NodeID(rawValue: .max - 1)
    static let phantomFile = NodeID(rawValue: .max - 2)
    static let phantomDirectory = NodeID(rawValue: .max - 3)
    static let handle = UInt64.max - 1
}

// Requests of the agent in the guest (docs/agent.md). By none of them anything of the host changes.
extension CoherentFS {
    func agent(_ caller: borrowing Caller) -> AgentGroup? {
        base.share.sharedCaches == nil ? nil : AgentGroup(rawValue: caller.gid)
    }

    func refuseAgent(_ caller: borrowing Caller) throws(Errno) {
        if agent(caller) != nil { throw .EPERM }
    }

    // ---- names ----

    func lookup(
        _ group: AgentGroup, _ caller: Caller, _ parent: NodeID, _ name: Name
    ) throws(Errno) -> EntryOut {
        switch group {
        case .look:
            if parent == .root, isChangeList(name) { return special(AgentNode.changeList) }
            return try base.lookup(caller, parent: parent, name: name)
        case .appear:
            _ = try base.hold(parent)
            throw .ENOENT
        case .vanish:
            if try status(parent, name) == nil { return special(AgentNode.phantomFile) }
            return try base.lookup(caller, parent: parent, name: name)
        case .move, .moveDirectory:
            if try status(parent, name) != nil { throw .ENOENT }
            return special(group == .move ? AgentNode.phantomFile : AgentNode.phantomDirectory)
        }
    }

    /// MKNOD, MKDIR and SYMLINK.
    func appear(
        _ group: AgentGroup, _ caller: Caller, _ parent: NodeID, _ name: Name, type: UInt32
    ) throws(Errno) -> EntryOut {
        guard group == .appear else { throw .ENOENT }
        let entry = try base.lookup(caller, parent: parent, name: name)
        guard entry.nodeID != 0 else { throw .ENOENT }
        if entry.attributes.mode & FileType.mask == type { return entry }
        base.forget(NodeID(rawValue: entry.nodeID), count: 1)
        throw .ENOENT
    }

    /// UNLINK. Should the guest know already what has the name now, that must not go.
    func vanish(_ group: AgentGroup, _ parent: NodeID, _ name: Name) throws(Errno) {
        guard group == .vanish else { throw .ENOENT }
        guard let status = try status(parent, name) else { return }
        let told = unsafe base.share.namesTold.find(NamesTold.Key(parent, name.cString))
        if let told, told == base.share.inodes.find(Identity(status)) { throw .EBUSY }
    }

    /// RMDIR: Linux never uses a directory again that was removed.
    func vanishDirectory(_ group: AgentGroup, _ parent: NodeID, _ name: Name) throws(Errno) {
        guard group == .vanish else { throw .ENOENT }
        if try status(parent, name) != nil { throw .EBUSY }
    }

    func move(_ group: AgentGroup, _ parent: NodeID, _ name: Name, _ flags: UInt32) throws(Errno) {
        guard group == .move || group == .moveDirectory, flags & ~UInt32(RENAME_NOREPLACE) == 0 else {
            throw .ENOENT
        }
        if try status(parent, name) == nil { throw .ENOENT }
    }

    /// What `name` means on the host now; nil: nothing.
    func status(_ parent: NodeID, _ name: Name) throws(Errno) -> FileStatus? {
        base.enterDaemon()
        let directory = try base.descriptor(of: parent)
        do throws(Errno) { return try unsafe FileStatus(directory, name.cString) } catch .ENOENT {
            return nil
        }
    }

    private func isChangeList(_ name: Name) -> Bool {
        unsafe UnsafeBufferPointer(start: name.cString, count: name.byteCount).elementsEqual(
            ChangeList.fileName.utf8.lazy.map { CChar(bitPattern: $0) })
    }

    // ---- what is no object ----

    /// Times of validity are 0: nobody else is to find it.
    func special(_ node: NodeID) -> EntryOut {
        var entry = EntryOut()
        entry.nodeID = node.rawValue
        entry.attributes = attributes(ofSpecial: node)?.attributes ?? Attributes()
        return entry
    }

    /// nil: `node` is an object's.
    func attributes(ofSpecial node: NodeID) -> AttrOut? {
        guard node.rawValue >= AgentNode.phantomDirectory.rawValue, base.share.sharedCaches != nil else {
            return nil
        }
        var reply = AttrOut()
        reply.attributes.ino = node.rawValue
        reply.attributes.nlink = 1
        reply.attributes.mode =
            node == AgentNode.phantomDirectory ? FileType.directory | 0o700 : FileType.regular | 0o600
        return reply
    }

    // ---- handles ----

    /// Of nothing, so that closing it is all that happens.
    func openForAgent(_ node: NodeID) throws(Errno) -> OpenOut {
        var out = OpenOut()
        out.handle = AgentNode.handle
        out.openFlags = OpenOutFlags.noFlush
        if node == AgentNode.changeList {
            out.openFlags |= OpenOutFlags.directIO
        } else {
            _ = try base.hold(node)
            out.openFlags |= OpenOutFlags.keepCache
        }
        return out
    }

    func releaseForAgent(_ node: NodeID) {
        if node == AgentNode.changeList { base.share.sharedCaches?.agentHasGone() }
    }
}
