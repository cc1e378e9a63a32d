// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import Glibc
import HostOS
import Synchronization

/// How a new object gets the label that the guest's security module chose for it (FUSE_SECURITY_CTX).
///
/// Where SELinux runs on the host too, the thread's fscreate attribute makes the kernel label the object as it makes it.
/// Elsewhere the xattr is set right after, before the guest hears of the object, and the object is removed if that fails:
/// another process of the host can see it without a label for that moment.
struct Labelling: ~Copyable {
    /// The label is still to be set.
    let isPending: Bool
    /// The thread's fscreate attribute, which `end` clears; −1: not in use.
    fileprivate let attribute: Int32

    borrowing func end() {
        if attribute < 0 { return }
        _ = unsafe Glibc.write(attribute, "", 0)
        _ = close(attribute)
    }
}

extension HostFS {
    /// Call `end` when the object is made. EOPNOTSUPP for an attribute that is no security module's label: privileges of
    /// files (security.capability) are not given this way.
    func beginLabelling(_ caller: borrowing Caller) throws(Errno) -> Labelling {
        guard let label = caller.label else { return Labelling(isPending: false, attribute: -1) }
        let isSELinux = unsafe strcmp(label.name.cString, "security.selinux") == 0
        guard unsafe isSELinux || strcmp(label.name.cString, "security.SMACK64") == 0 else {
            throw .EOPNOTSUPP
        }
        let isMapped = try unsafe mappedName(of: label.name, for: .set) != label.name.cString
        // Under another name it is no label of the host's.
        guard isSELinux, !isMapped else { return Labelling(isPending: true, attribute: -1) }
        let attribute = threadAttributes >= 0 ? vfs_open_fscreate(threadAttributes) : -1
        guard attribute >= 0 else { return Labelling(isPending: true, attribute: -1) }
        let count = unsafe Glibc.write(attribute, label.value.baseAddress, label.value.count)
        if unsafe count == label.value.count { return Labelling(isPending: false, attribute: attribute) }
        _ = close(attribute)
        return Labelling(isPending: true, attribute: -1)
    }

    /// Sets the caller's label on an object that was just made; as the daemon, which the caller need not be allowed to.
    func setLabel(_ caller: borrowing Caller, on opened: Int32) throws(Errno) {
        guard let label = caller.label else { return }
        enterDaemon()
        do throws(Errno) {
            let name = try unsafe mappedName(of: label.name, for: .set)
            try unsafe setAttribute(processName(of: opened), name, to: label.value, flags: 0)
        } catch {
            if error == .EPERM, !share.hasRefusedLabel.exchange(true, ordering: .relaxed) {
                Log.warning(
                    "the host refuses the label of a new file, which is then not made: --security-label takes --modcaps "
                        + "+sys_admin where the host does not run the guest's security module")
            }
            throw error
        }
    }
}
