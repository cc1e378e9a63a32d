// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire

extension HostFS {
    /// INIT. `always` in an option means that a guest without the feature is refused with EPROTO.
    package func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice {
        enterDaemon()
        share.disconnect()
        let flags = offer.flags & options.wantedFlags
        let acl = flags & ShareOptions.aclFlags
        if options.posixACL == .always, acl != ShareOptions.aclFlags { throw .EPROTO }
        if options.securityLabel == .always, flags & InitFlags.securityContext == 0 { throw .EPROTO }
        // ACLs work whole or not at all: without DONT_MASK the guest's umask would spoil default ACLs.
        var agreed = acl == ShareOptions.aclFlags ? flags : flags & ~ShareOptions.aclFlags
        // Without OPEN there is nothing that could say O_TRUNC: the guest sends SETATTR.
        if agreed & InitFlags.noOpenSupport != 0 { agreed &= ~InitFlags.atomicTruncate }
        share.negotiated = agreed
        return InitChoice(flags: agreed)
    }

    /// DESTROY.
    package func destroy() {
        enterDaemon()
        share.disconnect()
    }
}

extension ShareOptions {
    fileprivate static let aclFlags = InitFlags.posixACL | InitFlags.dontMask | InitFlags.setxattrExtended

    /// Every FUSE_INIT flag that these options have a use for.
    fileprivate var wantedFlags: UInt64 {
        // Ids of callers are used for creating only, which idmapped mounts send mapped.
        var flags =
            InitFlags.allowIdmap | InitFlags.createSupplementaryGroup | InitFlags.atomicTruncate
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
