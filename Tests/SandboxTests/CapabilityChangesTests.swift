// SPDX-License-Identifier: Apache-2.0
import CCapNG
import Errors
import Testing

@testable import Sandbox

@Suite struct CapabilityChangesTests {
    private let administration = CapabilitySet(number: CAP_SYS_ADMIN)
    private let devices = CapabilitySet(number: CAP_MKNOD)

    private func changes(_ list: String) throws -> CapabilityChanges {
        try CapabilityChanges(list, spelled: "--modcaps \(list)")
    }

    /// The sets as /proc/PID/status would show them: the numbers are the kernel's.
    @Test func theKernelsNumbers() {
        #expect(CapabilitySet.ofShare.rawValue == 0x8800_00db)
        #expect(CapabilitySet([.ofShare, .fileHandles]).rawValue == 0x8800_00df)
        #expect(CapabilitySet(named: "checkpoint_restore")?.rawValue == 1 << 40)
        #expect(CapabilitySet(number: -1).isEmpty && CapabilitySet(number: 64).isEmpty)
    }

    @Test func namesAreThoseOfTheManual() {
        #expect(CapabilitySet(named: "sys_admin") == administration)
        #expect(CapabilitySet(named: "SYS_ADMIN") == administration)
        for name in ["", "cap_sys_admin", "21", "sys_admin ", "nonsense", "é"] {
            #expect(CapabilitySet(named: name) == nil)
        }
        #expect(CapabilitySet([administration, .fileHandles]).description == "dac_read_search, sys_admin")
        #expect(CapabilitySet().description == "none")
        // One that the library does not know yet.
        #expect(CapabilitySet(number: 63).description == "63")
    }

    @Test func changesAddAndRemove() throws {
        let changed = try changes("+sys_admin:-mknod")
        #expect(changed.added == administration && changed.removed == devices)
        #expect(changed.applied(to: .ofShare).rawValue == 0x8820_00db & ~(1 << 27))
        #expect(changed.applied(to: []) == administration)
        #expect(CapabilityChanges().applied(to: .ofShare) == .ofShare)
        #expect(try changes("-sys_admin").applied(to: .ofShare) == .ofShare)
        #expect(try changes("+mknod").applied(to: .ofShare) == .ofShare)
    }

    @Test func theLastChangeOfACapabilityCounts() throws {
        #expect(
            try changes("+mknod:-mknod").applied(to: .ofShare) == CapabilitySet.ofShare.subtracting(devices))
        #expect(try changes("+mknod:-mknod").added.isEmpty)
        #expect(try changes("-mknod:+mknod").applied(to: []) == devices)
        #expect(try changes("-mknod:+mknod").removed.isEmpty)
    }

    @Test(arguments: [
        "", ":", "+", "-", "sys_admin", "+sys_admin:", ":+sys_admin", "+sys_admin::-mknod", "=mknod",
        " +mknod",
    ])
    func whatIsNoListOfChangesIsRefused(list: String) {
        let error = #expect(throws: StartupError.self) { try changes(list) }
        #expect(
            error?.description
                == "cannot use --modcaps \(list): not a list of changes; write +NAME to keep a capability, -NAME to give it "
                + "up, and a colon between two")
    }

    @Test(arguments: [
        "+nonsense", "+cap_mknod", "-mknod:+mknod,sys_admin", "++mknod", "+sys_admin -mknod", "+21",
    ])
    func unknownNamesAreRefused(list: String) {
        let error = #expect(throws: StartupError.self) { try changes(list) }
        #expect(
            error?.description
                == "cannot use --modcaps \(list): one of the names is no capability; give names of "
                + "capabilities(7) without CAP_, such as sys_admin")
    }
}
