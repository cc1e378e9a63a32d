// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// No program that this process starts gets more rights than it has, whatever set-id bits and capabilities its file carries.
/// Threads that exist already are not held to it.
package func forbidNewPrivileges() throws(Errno) {
    _ = try systemCall { vfs_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
}

/// What `cutCapabilities` has left.
package struct CapabilityCut: Sendable, Equatable {
    /// The permitted and the effective capabilities.
    package let kept: CapabilitySet
    /// The wall that could not be raised and why; nil if all were.
    package let remark: String?
}

/// Leaves the calling thread, and those that it will start, the capabilities of `needed` with `changes` that it has, for good:
/// nothing stays inheritable, ambient or in the bounding set. Threads that exist already keep theirs.
///
/// - Throws: when one that `changes` adds is not there, or the thread would keep more than it may.
package func cutCapabilities(
    to needed: CapabilitySet, _ changes: CapabilityChanges
) throws(StartupError) -> CapabilityCut {
    let before = try ThreadCapabilities()
    let absent = changes.added.subtracting(before.permitted)
    guard absent.isEmpty else {
        throw StartupError(
            operation: "keep", subject: "capabilities that --modcaps adds",
            reason: "this process does not have \(absent)",
            hint: "start it as root and with them, or take them out of --modcaps")
    }
    let wanted = changes.applied(to: needed).intersection(before.permitted)
    // The bounding set first: to lower it takes SETPCAP. Whether the calls have worked is asked of the kernel.
    let boundingRefusal = emptyBoundingSet()
    let isCut = vfs_capset_thread(wanted.rawValue, wanted.rawValue, 0) == 0
    let refusal = Errno(rawValue: isCut ? 0 : errno)

    let after = try ThreadCapabilities()
    let excess = after.permitted.union(after.effective).subtracting(wanted).union(after.inheritable)
    guard excess.isEmpty else {
        throw StartupError(
            operation: "give up", subject: "capabilities (\(excess))", reason: describe(refusal),
            hint: "allow capset(2) where this process is confined, or start it without them")
    }
    // To a process without capabilities the bounding set is nothing that no_new_privs does not bar anyway.
    guard !after.bounding.isEmpty, !before.permitted.isEmpty else {
        return CapabilityCut(kept: after.effective, remark: nil)
    }
    let reason =
        before.effective.contains(.lowerBounds)
        ? describe(boundingRefusal) : "this process does not have setpcap"
    return CapabilityCut(
        kept: after.effective,
        remark:
            "cannot empty the bounding set of capabilities: \(reason); programs that it starts get none "
            + "all the same (no_new_privs)")
}

/// Returns the last refusal; 0: none.
private func emptyBoundingSet() -> Errno {
    var refusal = Errno(rawValue: 0)
    for number in CapabilitySet.numbers where isBounded(number) {
        if vfs_prctl(PR_CAPBSET_DROP, UInt(number), 0, 0, 0) != 0 { refusal = Errno(rawValue: errno) }
    }
    return refusal
}

private func isBounded(_ number: Int32) -> Bool { vfs_prctl(PR_CAPBSET_READ, UInt(number), 0, 0, 0) == 1 }

/// The calling thread's sets as the kernel says. Not by libcap-ng, which looks for some of it in /proc: behind a new root directory
/// that is what the guest has put there.
private struct ThreadCapabilities {
    let permitted: CapabilitySet
    let effective: CapabilitySet
    let inheritable: CapabilitySet
    let bounding: CapabilitySet

    init() throws(StartupError) {
        var (effective, permitted, inheritable): (UInt64, UInt64, UInt64) = (0, 0, 0)
        guard unsafe vfs_capget_thread(&effective, &permitted, &inheritable) == 0 else {
            throw StartupError(
                operation: "read", subject: "this process's capabilities",
                reason: describe(Errno(rawValue: errno)))
        }
        self.permitted = CapabilitySet(rawValue: permitted)
        self.effective = CapabilitySet(rawValue: effective)
        self.inheritable = CapabilitySet(rawValue: inheritable)
        bounding = CapabilitySet.numbers.reduce(into: []) { set, number in
            if isBounded(number) { set.insert(CapabilitySet(number: number)) }
        }
    }
}
