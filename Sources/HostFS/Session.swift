// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire
import HostOS

extension HostFS {
    /// INIT. `always` in an option means that a guest without the feature is refused with EPROTO.
    package func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice {
        enterDaemon()
        share.window?.removeAll()
        share.disconnect()
        let flags = offer.flags & options.wantedFlags
        let acl = flags & ShareOptions.aclFlags
        if options.posixACL == .always, acl != ShareOptions.aclFlags { throw .EPROTO }
        if options.securityLabel == .always, flags & InitFlags.securityContext == 0 { throw .EPROTO }
        // ACLs work whole or not at all: without DONT_MASK the guest's umask would spoil default ACLs.
        var agreed = acl == ShareOptions.aclFlags ? flags : flags & ~ShareOptions.aclFlags
        // Without OPEN there is nothing that could say O_TRUNC: the guest sends SETATTR.
        if agreed & InitFlags.noOpenSupport != 0 { agreed &= ~InitFlags.atomicTruncate }
        agreed |= try daxFlags(offer)
        let tellsSlots = share.changes != nil && offer.follower != nil
        // A listing that its kernel keeps is good without asking.
        if tellsSlots { agreed |= offer.flags & InitFlags.noOpendirSupport }
        share.changes?.serve(follower: offer.follower)
        share.negotiated = tellsSlots ? agreed | Self.tellsSlots : agreed
        var choice = InitChoice(flags: agreed, mapAlignment: DAXWindow.alignment)
        choice.tellsSlots = tellsSlots
        return choice
    }

    /// Ours, beside the protocol's flags: entries and attributes carry slots.
    private static let tellsSlots: UInt64 = 1 << 63
    var tellsSlots: Bool { isNegotiated(Self.tellsSlots) }

    /// Where the table counts the changes of the object with `status`; nil: the front-end does not want to know.
    func slot(_ status: FileStatus) -> UInt64? {
        guard tellsSlots, let changes = share.changes else { return nil }
        return UInt64(changes.table.slot(of: FileKey(status)))
    }

    /// A guest with a window offers MAP_ALIGNMENT, unless it is mounted with dax=never. One that was mounted with dax=always accesses
    /// every file through the window, whatever it is told.
    private func daxFlags(_ offer: InitOffer) throws(Errno) -> UInt64 {
        let wanted = offer.flags & (InitFlags.mapAlignment | InitFlags.hasInodeDAX)
        guard let window = share.window, window.window.isUsable else { return 0 }
        if wanted == InitFlags.mapAlignment,
            !window.mapsAnySize || isReadOnly && options.dax?.mapsReadOnly != true
        {
            Log.warning(
                "it mounts with dax=always, but not all files here can be mapped: mount with dax=inode"
            )
            throw .EPROTO
        }
        return wanted & InitFlags.mapAlignment == 0 ? 0 : wanted
    }

    /// DESTROY.
    package func destroy() {
        enterDaemon()
        share.window?.removeAll()
        share.disconnect()
    }
}

extension ShareOptions {
    fileprivate static let aclFlags = InitFlags.posixACL | InitFlags.dontMask | InitFlags.setxattrExtended

    /// Every FUSE_INIT flag that these options have a use for.
    fileprivate var wantedFlags: UInt64 {
        // Ids of callers are used for creating only, which idmapped mounts send mapped.
        var flags = InitFlags.createSupplementaryGroup | InitFlags.atomicTruncate
        // The agent is known by its group, which a guest that has agreed on this seldom sends.
        if cache != .shared { flags |= InitFlags.allowIdmap }
        // The agent finds objects by handle. That of a directory whose name the guest's kernel has dropped, but that is watched,
        // has to be brought back to its place.
        if cache == .shared { flags |= InitFlags.exportSupport }
        if exclusive {
            // OPEN and OPENDIR are answered with ENOSYS. Cached data lives for ever: only the guest changes it.
            flags |= InitFlags.noOpenSupport | InitFlags.noOpendirSupport | InitFlags.explicitInvalidateData
        } else {
            // The host may change files at any time: cached data lives only as long as mtime and size stay.
            flags |= InitFlags.autoInvalidateData
        }
        if readdirplus, cache != .never {
            flags |= InitFlags.doReaddirplus
            // Left to itself the guest asks for plain entries behind the first reply, then looks each of them up.
            if !exclusive { flags |= InitFlags.readdirplusAuto }
        }
        // A symbolic link's target never changes; a new link is a new inode.
        if cache != .never { flags |= InitFlags.cacheSymlinks }
        if writeback { flags |= InitFlags.writebackCache }
        if killprivV2 { flags |= InitFlags.handleKillPrivV2 }
        if announceSubmounts { flags |= InitFlags.submounts }
        if allowMmap { flags |= InitFlags.directIOAllowMmap }
        if posixLock { flags |= InitFlags.posixLocks }
        if flock { flags |= InitFlags.flockLocks }
        if posixACL != .never { flags |= Self.aclFlags }
        if securityLabel != .never { flags |= InitFlags.securityContext }
        return flags
    }
}
