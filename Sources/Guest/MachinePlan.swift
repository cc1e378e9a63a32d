// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Finds what a guest needs on this machine and makes its command line.
enum MachinePlan {
    static func command(
        for configuration: GuestConfiguration, directory: String
    ) throws(StartupError) -> MachineCommand {
        try check(configuration)
        let kernel = try Kernel.find(configuration)
        switch configuration.machine {
        case .uml:
            let initramfs = try Initramfs.file(for: kernel, machine: .uml, agent: configuration.agent)
            return UmlCommand(
                configuration: configuration, program: kernel.image, initramfs: initramfs,
                directory: directory
            ).command
        case .qemu:
            let program = try qemu(configuration)
            var initramfs: String? = try Initramfs.file(
                for: kernel, machine: .qemu, agent: configuration.agent)
            let useKVM = KVMProbe.isUsable(configuration, program: program)
            if case .kernelMounted = configuration.root { initramfs = nil }
            return QemuCommand(
                configuration: configuration, program: program, kernel: kernel.image, initramfs: initramfs,
                useKVM: useKVM
            ).command
        }
    }

    private static func qemu(_ configuration: GuestConfiguration) throws(StartupError) -> String {
        if let program = try QemuDevices.program(for: configuration.shares, configuration.program) {
            return program
        }
        let name = configuration.program ?? "qemu-system-x86_64"
        guard let program = Files.program(name) else {
            throw Missing.program(name, package: "qemu-system-x86")
        }
        return program
    }

    private static func check(_ configuration: GuestConfiguration) throws(StartupError) {
        for share in configuration.shares { try ShareTag.check(share.tag) }
        try QemuDevices.checkWindows(configuration)
        if configuration.machine == .uml, configuration.shares.contains(where: { $0.device == .vfioUser }) {
            throw StartupError(
                operation: "plug a device into", subject: "linux.uml", reason: "it has no PCI bus for one")
        }
        guard configuration.memoryMebibytes >= 64, configuration.processors >= 1 else {
            throw StartupError(
                operation: "boot", subject: "a guest",
                reason: "it needs at least 64 MiB of memory and one processor")
        }
        switch configuration.root {
        case .initramfs: break
        case .kernelMounted where configuration.agent != nil:
            throw StartupError(
                operation: "start", subject: "virtiofs-agent",
                reason: "without an initramfs there is no way for it into the guest")
        case .share(let tag), .kernelMounted(let tag):
            // It travels as a word of the kernel's command line.
            guard tag.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") }) else {
                throw StartupError(
                    operation: "use", subject: tag, reason: "the tag of a root has only plain letters")
            }
            guard configuration.shares.contains(where: { $0.tag == tag }) else {
                throw StartupError(operation: "use", subject: tag, reason: "no share has this tag")
            }
            if case .kernelMounted = configuration.root, configuration.machine == .uml {
                throw StartupError(
                    operation: "boot", subject: "linux.uml",
                    reason: "its virtiofs is a module, so it needs an initramfs")
            }
        }
    }
}

/// The name of a virtio-fs device.
package enum ShareTag {
    /// 1 to 36 bytes (virtio 1.3 §5.11.4), and the name of a directory below /mnt.
    package static func check(_ tag: String) throws(StartupError) {
        let bytes = tag.utf8
        guard !bytes.isEmpty, bytes.count <= 36, !bytes.contains(UInt8(ascii: "/")), tag != ".", tag != "..",
            bytes.allSatisfy({ $0 >= 32 })
        else {
            throw StartupError(
                operation: "use", subject: "the tag \"\(tag)\"",
                reason: "a tag has 1 to 36 bytes and no \"/\"")
        }
    }
}
