// SPDX-License-Identifier: Apache-2.0
import Coherence
import Errors
import FuseServer
import FuseWire
import HostOS

/// A share whose changes the version table and the journal tell (docs/version-table.md): `HostFS`, with a word before and after
/// each operation that changes something.
///
/// Everything else passes through. Like `HostFS`, one for each thread.
package final class CoherentFS: FileSystem {
    let base: HostFS
    let writers: WriterPool
    let table: VersionTable

    package init(_ base: HostFS, _ writers: WriterPool) {
        self.base = base
        self.writers = writers
        table = writers.table
    }

    // ---- session ----

    package func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice { try base.initialize(offer) }
    package func destroy() { base.destroy() }
    package func requestBegan() { base.requestBegan() }
    package func requestEnded() { base.requestEnded() }

    // ---- what changes nothing ----

    package func lookup(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) -> EntryOut {
        if let group = agent(caller) { return try lookup(group, caller, parent, name) }
        return try base.lookup(caller, parent: parent, name: name)
    }
    package func lookupSpecial(_ caller: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut {
        if nodeID == AgentNode.changeList, !parent, agent(caller) == .look { return special(nodeID) }
        return try base.lookupSpecial(caller, nodeID: nodeID, parent: parent)
    }
    package func forget(_ nodeID: NodeID, count: UInt64) { base.forget(nodeID, count: count) }
    package func readlink(_ caller: Caller, nodeID: NodeID, into reply: inout ReplyBuffer) throws(Errno) {
        try base.readlink(caller, nodeID: nodeID, into: &reply)
    }
    package func getattr(_ caller: Caller, nodeID: NodeID, handle: HandleID?) throws(Errno) -> AttrOut {
        if let special = attributes(ofSpecial: nodeID) { return special }
        return try base.getattr(caller, nodeID: nodeID, handle: handle)
    }
    package func statx(
        _ caller: Caller, nodeID: NodeID, handle: HandleID?, _ arguments: StatxIn
    ) throws(Errno) -> StatxOut {
        try base.statx(caller, nodeID: nodeID, handle: handle, arguments)
    }
    package func access(_ caller: Caller, nodeID: NodeID, mask: UInt32) throws(Errno) {
        try base.access(caller, nodeID: nodeID, mask: mask)
    }
    package func statfs(_ caller: Caller, nodeID: NodeID) throws(Errno) -> StatFSOut {
        try base.statfs(caller, nodeID: nodeID)
    }
    package func read(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into data: DataVector,
        deferrals: any DeferralSource
    ) throws(Errno) -> Int {
        if nodeID == AgentNode.changeList { return try readChanges(arguments, into: data) }
        return try base.read(caller, nodeID: nodeID, arguments, into: data, deferrals: deferrals)
    }
    package func flush(_ caller: Caller, nodeID: NodeID, _ arguments: FlushIn) throws(Errno) {
        try base.flush(caller, nodeID: nodeID, arguments)
    }
    package func fsync(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        try base.fsync(caller, nodeID: nodeID, arguments)
    }
    package func lseek(_ caller: Caller, nodeID: NodeID, _ arguments: LseekIn) throws(Errno) -> UInt64 {
        try base.lseek(caller, nodeID: nodeID, arguments)
    }
    package func syncfs(_ caller: Caller, nodeID: NodeID) throws(Errno) {
        try base.syncfs(caller, nodeID: nodeID)
    }
    package func setupMapping(_ caller: Caller, nodeID: NodeID, _ arguments: SetupMappingIn) throws(Errno) {
        try base.setupMapping(caller, nodeID: nodeID, arguments)
    }
    package func removeMapping(_ caller: Caller, _ pieces: RemoveMappingList) throws(Errno) {
        try base.removeMapping(caller, pieces)
    }
    package func opendir(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut {
        try base.opendir(caller, nodeID: nodeID, arguments)
    }
    package func readdir(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        try base.readdir(caller, nodeID: nodeID, arguments, into: &reply)
    }
    package func readdirplus(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer
    ) throws(Errno) {
        try base.readdirplus(caller, nodeID: nodeID, arguments, into: &reply)
    }
    package func releasedir(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno) {
        try base.releasedir(caller, nodeID: nodeID, arguments)
    }
    package func fsyncdir(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno) {
        try base.fsyncdir(caller, nodeID: nodeID, arguments)
    }
    package func getxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        try base.getxattr(caller, nodeID: nodeID, name: name, size: size, sizeOnly: sizeOnly, into: &reply)
    }
    package func listxattr(
        _ caller: Caller, nodeID: NodeID, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        try base.listxattr(caller, nodeID: nodeID, size: size, sizeOnly: sizeOnly, into: &reply)
    }
    package func getlk(_ caller: Caller, nodeID: NodeID, _ arguments: LockIn) throws(Errno) -> FileLock {
        try base.getlk(caller, nodeID: nodeID, arguments)
    }
    package func setlk(
        _ caller: Caller, nodeID: NodeID, _ arguments: LockIn, wait: Bool, deferrals: any DeferralSource
    ) throws(Errno) -> Completion {
        try base.setlk(caller, nodeID: nodeID, arguments, wait: wait, deferrals: deferrals)
    }
    package func interrupt(_ unique: Unique) { base.interrupt(unique) }
}
