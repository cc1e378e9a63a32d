// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// What a QEMU can do, as it says itself.
enum QemuDevices {
    /// The device that shows a daemon's shared memory to the guest. QEMU has it since 11.0; `vhost-user-fs-pci` has none.
    static let withSharedMemory = "vhost-user-test-device-pci"

    /// All windows of a guest together, in MiB. Each 2 MiB that the guest maps become a memory region of QEMU, and at the
    /// 513th it aborts; the guest's memory and what a shrinking file needs take some too.
    static let windowLimit = 512

    /// Whether a QEMU has a device. The list of all (`-device help`) would load every module, and ends where one is of
    /// another QEMU.
    static func has(_ device: String, _ program: String) throws(StartupError) -> Bool {
        let result = try starting("start", program) { () throws(Errno) in
            try ChildProcess.run(program, ["-device", "\(device),help"])
        }
        return describes(device, String(decoding: result.output, as: UTF8.self))
    }

    /// Whether a QEMU that was asked for help about a device knows it; its exit status is 0 in either case.
    static func describes(_ device: String, _ answer: String) -> Bool {
        answer.hasPrefix("\(device) options:")
    }

    /// The device that plugs in one of another process. QEMU has it since 10.1.
    static let otherProcess = "vfio-user-pci"

    /// The QEMU for a guest with these shares: the one that is wanted; else that of PATH if it has what is needed, else the
    /// lab's. nil when any will do.
    static func program(for shares: [GuestShare], _ wanted: String?) throws(StartupError) -> String? {
        if shares.contains(where: { $0.device == .vfioUser }) {
            return try program(with: otherProcess, since: "10.1", "plug a device into the guest by", wanted)
        }
        if shares.contains(where: { $0.windowMebibytes != nil }) {
            return try program(with: withSharedMemory, since: "11", "give the guest a DAX window by", wanted)
        }
        return nil
    }

    private static func program(
        with device: String, since version: String, _ purpose: String, _ wanted: String?
    ) throws(StartupError) -> String {
        let names = wanted.map { [$0] } ?? ["qemu-system-x86_64", Lab.qemu]
        let programs = names.compactMap { Files.program($0) }
        for program in programs {
            if try has(device, program) { return program }
        }
        throw StartupError(
            operation: purpose, subject: programs.first ?? names[0],
            reason: programs.isEmpty
                ? "it is not installed" : "it has no \(device), which is new in QEMU \(version)",
            hint: wanted == nil
                ? "make lab fetches a QEMU that has it"
                : "leave --qemu out after make lab, or name a newer one")
    }

    /// - Throws: what is wrong with the windows of a guest.
    static func checkWindows(_ configuration: GuestConfiguration) throws(StartupError) {
        func refuse(_ subject: String, _ reason: String) -> StartupError {
            StartupError(operation: "give a DAX window to", subject: subject, reason: reason)
        }
        var sum = 0
        for share in configuration.shares {
            guard let size = share.windowMebibytes else {
                if share.dax == .always {
                    throw refuse(share.tag, "its guest is told dax=always and no size")
                }
                continue
            }
            if configuration.machine == .uml {
                throw refuse(share.tag, "UML's devices have no shared memory")
            }
            // Its window is no memory of QEMU's.
            if share.device == .vfioUser { continue }
            if share.readOnly {
                throw refuse(share.tag, "it is read-only, and QEMU maps only files that may be written")
            }
            guard size >= 2, size <= windowLimit, size & (size - 1) == 0 else {
                throw refuse(share.tag, "its size must be a power of two from 2M to \(windowLimit)M")
            }
            sum += size
        }
        if sum > windowLimit {
            throw refuse("all shares", "QEMU can map \(windowLimit)M of files in all, and these are \(sum)M")
        }
    }
}
