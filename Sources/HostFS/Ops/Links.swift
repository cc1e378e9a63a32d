// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import HostOS

// LINK, UNLINK, RMDIR and READLINK. The guest's kernel has checked permissions, so the daemon acts as itself.
extension HostFS {
    /// Also gives a file of TMPFILE its name.
    package func link(
        _ caller: Caller, nodeID: NodeID, newParent: NodeID, name: Name
    ) throws(Errno) -> EntryOut {
        try requireWritable()
        let object = try descriptor(of: nodeID)
        let directory = try descriptor(of: newParent)
        enterDaemon()
        try unsafe makeLink(to: processName(of: object), in: directory, name.cString)
        return try entry(parent: newParent, parentDescriptor: directory, name: name)
    }

    package func unlink(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        try remove(parent, name, ofDirectory: false)
    }

    package func rmdir(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) {
        try remove(parent, name, ofDirectory: true)
    }

    private func remove(_ parent: NodeID, _ name: Name, ofDirectory: Bool) throws(Errno) {
        try requireWritable()
        let directory = try descriptor(of: parent)
        enterDaemon()
        // A removed directory may be somebody's working directory. A guest with a write-back cache still sets the times of what
        // it has removed, and syncfs(2) there says if it fails.
        let key = unsafe NamesTold.Key(parent, name.cString)
        if ofDirectory || options.exclusive || isNegotiated(InitFlags.writebackCache), !keepTold(key) {
            keepKnown(directory, name)
        }
        try unsafe removeName(directory, name.cString, ofDirectory: ofDirectory)
        share.namesTold.note(key, nil)
    }

    package func readlink(_ caller: Caller, nodeID: NodeID, into reply: inout ReplyBuffer) throws(Errno) {
        guard try type(of: nodeID) == FileType.symbolicLink else { throw .EINVAL }
        let link = try descriptor(of: nodeID)
        try unsafe reply.appendInPlace { target throws(Errno) in
            try unsafe readSymbolicLink(link, into: target)
        }
    }
}
