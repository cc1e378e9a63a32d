// SPDX-License-Identifier: Apache-2.0
import CCapNG

/// Capabilities, each the bit with its number in capabilities(7).
package struct CapabilitySet: OptionSet, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    init(number: Int32) { self.init(rawValue: number < 0 || number > 63 ? 0 : 1 << UInt64(number)) }

    /// To see and set trusted.* attributes.
    package static let trustedAttributes = CapabilitySet(number: CAP_SYS_ADMIN)

    package static let fileHandles = CapabilitySet(number: CAP_DAC_READ_SEARCH)

    /// To remove a name from a directory of somebody else.
    package static let removeAnyName = CapabilitySet(number: CAP_DAC_OVERRIDE)

    /// For the process that makes files mappable: backing files and fanotify (SYS_ADMIN), whatever a file's permissions are
    /// (DAC_READ_SEARCH), and what a thread is about to do (SYS_PTRACE).
    package static let ofFilesProcess = [CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE]
        .reduce(into: CapabilitySet()) { $0.insert(CapabilitySet(number: $1)) }

    /// For the process that watches the host, until it does: fanotify (SYS_ADMIN). Then `fileHandles` are enough.
    package static let ofWaitingWatch = [CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH]
        .reduce(into: CapabilitySet()) { $0.insert(CapabilitySet(number: $1)) }

    /// To take capabilities out of the bounding set.
    static let lowerBounds = CapabilitySet(number: CAP_SETPCAP)

    /// Without these a guest's root could not do to its files what root may: give them away (CHOWN), pass by their
    /// permissions (DAC_OVERRIDE, FOWNER), keep set-id bits (FSETID), make devices (MKNOD), give programs capabilities (SETFCAP).
    /// With SETUID and SETGID what a guest's user makes is made by that user.
    package static let ofShare = [
        CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_MKNOD, CAP_SETFCAP,
    ].reduce(into: CapabilitySet()) { $0.insert(CapabilitySet(number: $1)) }

    /// What `name` names, "sys_admin" in small or capital letters; nil if there is no such capability.
    package init?(named name: String) {
        let number = unsafe capng_name_to_capability(name)
        if number < 0 { return nil }
        self.init(number: number)
    }

    /// Lets the library look at /proc for what capabilities this kernel has. Where /proc is the guest's it must have done so.
    package static func prepareNames() { _ = ofShare.description }

    /// Names as `--modcaps` takes them, with commas.
    package var description: String {
        let names = Self.numbers.filter { contains(CapabilitySet(number: $0)) }.map { number in
            // SAFETY: the names are constants of the library.
            unsafe capng_capability_to_name(UInt32(number)).map { unsafe String(cString: $0) } ?? "\(number)"
        }
        return names.isEmpty ? "none" : names.joined(separator: ", ")
    }

    /// Every number that a capability could have.
    static let numbers: Range<Int32> = 0..<64
}
