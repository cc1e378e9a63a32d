// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import HostOS

// Where ids of the guest and of the host meet. Ids of the guest are in requests and replies, those of the host in system
// calls and in what these return.
extension HostFS {
    /// The host's user for one of the guest; EPERM for one that the guest may not use.
    func hostUser(_ guest: UInt32) throws(Errno) -> UInt32 {
        guard let host = users.hostID(guest) else { throw .EPERM }
        return host
    }

    /// The host's group for one of the guest; EPERM likewise.
    func hostGroup(_ guest: UInt32) throws(Errno) -> UInt32 {
        guard let host = groups.hostID(guest) else { throw .EPERM }
        return host
    }

    func hostGroup(optional guest: UInt32?) throws(Errno) -> UInt32? {
        guard let guest else { return nil }
        return try hostGroup(guest)
    }

    /// Attributes as the guest sees them.
    @inline(__always)
    func attributes(_ status: FileStatus) -> Attributes {
        var attributes = Attributes(status)
        attributes.uid = users.guestID(attributes.uid)
        attributes.gid = groups.guestID(attributes.gid)
        if share.window != nil, noteAttributes(status) { attributes.flags |= AttributeFlags.dax }
        return attributes
    }

    /// The same for STATX.
    func extendedAttributes(_ status: FileStatus) -> StatxAttributes {
        if share.window != nil { _ = noteAttributes(status) }
        var attributes = StatxAttributes(status)
        attributes.uid = users.guestID(attributes.uid)
        attributes.gid = groups.guestID(attributes.gid)
        return attributes
    }
}
