// SPDX-License-Identifier: Apache-2.0
import CCapNG
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
    capng_clear(CAPNG_SELECT_BOTH)
    let sets = capng_type_t(CAPNG_EFFECTIVE.rawValue | CAPNG_PERMITTED.rawValue)
    for number in CapabilitySet.numbers where wanted.contains(CapabilitySet(number: number)) {
        _ = capng_update(CAPNG_ADD, sets, UInt32(number))
    }
    // The bounding set first: to lower it takes SETPCAP. Whether the calls have worked is asked of the kernel.
    let boundingRefusal = errorNumber { capng_apply(CAPNG_SELECT_BOUNDS) }
    let refusal = errorNumber { capng_apply(CAPNG_SELECT_CAPS) }

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

/// Why `call` did not succeed, if it did not.
private func errorNumber(_ call: () -> Int32) -> Errno {
    errno = 0
    _ = call()
    return Errno(rawValue: errno)
}

/// The calling thread's sets, as capget(2) and its bounding set say.
private struct ThreadCapabilities {
    let permitted: CapabilitySet
    let effective: CapabilitySet
    let inheritable: CapabilitySet
    let bounding: CapabilitySet

    init() throws(StartupError) {
        capng_clear(CAPNG_SELECT_BOTH)
        guard capng_get_caps_process() == 0 else {
            throw StartupError(
                operation: "read", subject: "this process's capabilities",
                reason: describe(Errno(rawValue: errno)))
        }
        permitted = Self.read(CAPNG_PERMITTED)
        effective = Self.read(CAPNG_EFFECTIVE)
        inheritable = Self.read(CAPNG_INHERITABLE)
        bounding = Self.read(CAPNG_BOUNDING_SET)
    }

    private static func read(_ type: capng_type_t) -> CapabilitySet {
        CapabilitySet.numbers.reduce(into: []) { set, number in
            if capng_have_capability(type, UInt32(number)) != 0 { set.insert(CapabilitySet(number: number)) }
        }
    }
}
