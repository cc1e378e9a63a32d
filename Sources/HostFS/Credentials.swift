// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// As whom the calling thread touches files. One object per worker, made and used on that worker's thread only.
///
/// The ids of file access (fsuid, fsgid), the groups and the umask belong to the thread. Each operation begins by
/// choosing; choosing what is already so costs no system call, so nothing is ever left over from an earlier request.
/// Going from fsuid 0 to another takes the thread's file capabilities away, coming back brings them again (capabilities(7)).
final class Credentials {
    private enum Capability {
        static let overridePermissions: UInt64 = 1 << 1  // CAP_DAC_OVERRIDE
        static let fileSetID: UInt64 = 1 << 4  // CAP_FSETID
        /// What the kernel itself drops with fsuid 0: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID,
        /// LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE.
        static let files: UInt64 = 0b11111 | 1 << 9 | 1 << 27 | 1 << 32
    }

    private let daemonUID: uid_t
    private let daemonGID: gid_t
    /// Effective, permitted and inheritable as the thread began.
    private let effective: UInt64
    private let permitted: UInt64
    private let inheritable: UInt64

    private var uid: uid_t
    private var gid: gid_t
    private var group: gid_t?
    private var effectiveNow: UInt64
    private var umaskNow: UInt32 = 0

    /// Prepares the calling thread: a working directory and umask of its own, no supplementary groups (CVE-2022-0358).
    init() throws(Errno) {
        _ = try systemCall { unshare(CLONE_FS) }
        _ = umask(0)
        // Without CAP_SETGID we keep groups that are our own user's anyway.
        _ = vfs_setgroups_thread(0, nil)
        var effective: UInt64 = 0
        var permitted: UInt64 = 0
        var inheritable: UInt64 = 0
        _ = try systemCall { unsafe vfs_capget_thread(&effective, &permitted, &inheritable) }
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        effectiveNow = effective
        daemonUID = geteuid()
        daemonGID = getegid()
        uid = daemonUID
        gid = daemonGID
    }

    /// Whether file access is the daemon's own, with everything it may do.
    var isDaemon: Bool {
        uid == daemonUID && gid == daemonGID && group == nil && effectiveNow == effective
    }

    /// Whether what the thread writes or cuts keeps set-user-id and set-group-id bits.
    var keepsSetID: Bool { effectiveNow & Capability.fileSetID != 0 }

    /// The daemon itself: everything that makes no object, because the guest has checked permissions.
    func enterDaemon() {
        if !isDaemon { become(daemonUID, daemonGID, nil, effective) }
    }

    /// The daemon without CAP_FSETID: what it writes or cuts loses set-user-id and set-group-id bits.
    ///
    /// - Parameter member: a group to be in. Of a file of this group a set-group-id bit goes only with group execution.
    func enterDaemonLosingSetID(asMemberOf member: gid_t? = nil) {
        let wanted = effective & ~Capability.fileSetID
        if uid != daemonUID || gid != daemonGID || group != member || effectiveNow != wanted {
            become(daemonUID, daemonGID, member, wanted)
        }
    }

    /// The guest's caller: everything that makes an object. Ids 0 are the daemon's own.
    ///
    /// - Parameter groupsAreKnown: false for a guest that does not send the caller's group when it counts. Then its kernel's
    ///   check of permissions stands and ours is left out.
    /// - Throws: EPERM for ids that we may not take, or that an idmapped mount could not map (0xffffffff).
    func enter(
        uid wantedUID: UInt32, gid wantedGID: UInt32, group wantedGroup: UInt32?, groupsAreKnown: Bool
    ) throws(Errno) {
        guard wantedUID != UInt32.max, wantedGID != UInt32.max, wantedGroup != UInt32.max else {
            throw .EPERM
        }
        let newUID = wantedUID == 0 ? daemonUID : wantedUID
        let newGID = wantedGID == 0 ? daemonGID : wantedGID
        let lost = groupsAreKnown ? Capability.files : Capability.files & ~Capability.overridePermissions
        let wanted = newUID == daemonUID ? effective : effective & ~lost
        if uid == newUID, gid == newGID, group == wantedGroup, effectiveNow == wanted { return }
        become(newUID, newGID, wantedGroup, wanted)
        guard uid == newUID, gid == newGID else {
            enterDaemon()
            throw .EPERM
        }
    }

    /// Whom `restore` goes back to.
    struct State {
        fileprivate let uid: uid_t
        fileprivate let gid: gid_t
        fileprivate let group: gid_t?
        fileprivate let effective: UInt64
    }

    var current: State { State(uid: uid, gid: gid, group: group, effective: effectiveNow) }

    func restore(_ state: State) { become(state.uid, state.gid, state.group, state.effective) }

    /// Whether the mode of a regular file lets the caller execute it, as the kernel would decide without access control lists.
    func mayExecute(_ status: FileStatus) -> Bool {
        let mode = UInt32(status.raw.stx_mode)
        if effectiveNow & Capability.overridePermissions != 0 { return mode & 0o111 != 0 }
        if status.raw.stx_uid == uid { return mode & S_IXUSR != 0 }
        let isMember = status.raw.stx_gid == gid || status.raw.stx_gid == group
        return mode & (isMember ? S_IXGRP : S_IXOTH) != 0
    }

    /// The umask of this thread's next creations.
    func useUmask(_ mask: UInt32) {
        let mask = mask & 0o777
        if mask == umaskNow { return }
        _ = umask(mask)
        umaskNow = mask
    }

    /// Changes what differs, and notes what the kernel really did.
    private func become(_ newUID: uid_t, _ newGID: gid_t, _ newGroup: gid_t?, _ newEffective: UInt64) {
        if group != newGroup {
            // A group that we may not take is left out: the caller gets fewer rights, never more.
            if var number = newGroup {
                _ = unsafe vfs_setgroups_thread(1, &number)
            } else {
                _ = vfs_setgroups_thread(0, nil)
            }
            group = newGroup
        }
        if gid != newGID {
            _ = setfsgid(newGID)
            // −1 fails, and says what is in force. Our own id is always granted.
            gid = newGID == daemonGID ? newGID : gid_t(bitPattern: setfsgid(gid_t.max))
        }
        if uid != newUID {
            _ = setfsuid(newUID)
            // The kernel's own rule of capabilities(7), which needs no call of ours.
            if uid == 0 && newUID != 0 { effectiveNow &= ~Capability.files }
            if uid != 0 && newUID == 0 { effectiveNow |= permitted & Capability.files }
            uid = newUID == daemonUID ? newUID : uid_t(bitPattern: setfsuid(uid_t.max))
        }
        if effectiveNow != newEffective, vfs_capset_thread(newEffective, permitted, inheritable) == 0 {
            effectiveNow = newEffective
        }
    }
}
