// SPDX-License-Identifier: Apache-2.0

/// The byte channels between us and a guest; each is a socket pair whose far end its machine inherits.
package enum Channel: Int32, CaseIterable, Sendable {
    /// The kernel's console, only read.
    case log
    /// Lines of GuestScripts' protocol.
    case control
    case input
    case output
    case errors
    /// A terminal for an interactive shell.
    case terminal

    /// Its number in the machine's process, after the three standard descriptors.
    package var descriptor: Int32 { 3 + rawValue }
}

/// The command line of a machine.
package struct MachineCommand: Equatable, Sendable {
    package var program: String
    package var arguments: [String]
    /// What runs the guest's instructions, for people.
    package var summary: String
}

/// Builds QEMU's command line; pure.
package struct QemuCommand {
    package let configuration: GuestConfiguration
    package let program: String
    package let kernel: String
    /// Nil: the kernel mounts its root itself.
    package let initramfs: String?
    package let useKVM: Bool

    package init(
        configuration: GuestConfiguration, program: String, kernel: String, initramfs: String?, useKVM: Bool
    ) {
        self.configuration = configuration
        self.program = program
        self.kernel = kernel
        self.initramfs = initramfs
        self.useKVM = useKVM
    }

    package var command: MachineCommand {
        var arguments = [
            "-machine", "q35,memory-backend=mem",
            "-accel", useKVM ? "kvm" : "tcg",
            "-cpu", useKVM ? "host" : "max",
            "-smp", "\(configuration.processors)",
            "-m", "\(configuration.memoryMebibytes)M",
            // vhost-user needs memory that another process can map.
            "-object", "memory-backend-memfd,id=mem,size=\(configuration.memoryMebibytes)M,share=on",
            "-nodefaults", "-no-user-config",
        ]
        if !configuration.mayRestart { arguments.append("-no-reboot") }
        arguments += ["-display", "none", "-kernel", kernel]
        if let initramfs { arguments += ["-initrd", initramfs] }
        arguments += ["-append", KernelCommandLine(configuration, console: "ttyS0", channels: "virtio").text]
        for channel in Channel.allCases {
            arguments += ["-chardev", "socket,id=\(channel),fd=\(channel.descriptor)"]
        }
        arguments += [
            "-serial", "chardev:log", "-serial", "chardev:terminal", "-device", "virtio-serial-pci",
        ]
        for channel: Channel in [.control, .input, .output, .errors] {
            arguments += ["-device", "virtserialport,chardev=\(channel),name=\(channel)"]
        }
        for (index, share) in configuration.shares.enumerated() {
            if share.device == .vfioUser {
                arguments += ["-device", otherProcess(at: share.socketPath)]
                continue
            }
            arguments += [
                "-chardev", "socket,id=share\(index),path=\(escaped(share.socketPath))",
                "-device", device(of: share, chardev: "share\(index)"),
            ]
        }
        return MachineCommand(
            program: program, arguments: arguments + configuration.machineArguments,
            summary: useKVM
                ? "QEMU with KVM"
                : configuration.accelerator == .tcg
                    ? "QEMU with TCG" : "QEMU with TCG, as no guest runs with KVM here")
    }

    /// The device that shows `share` to the guest.
    private func device(of share: GuestShare, chardev: String) -> String {
        guard share.windowMebibytes != nil else {
            return
                "vhost-user-fs-pci,chardev=\(chardev),tag=\(escaped(share.tag)),queue-size=\(share.queueSize),"
                + "num-request-queues=\(share.requestQueues)"
        }
        // QEMU's own file system device has no shared memory. This one asks the daemon for everything: 26 is a file system
        // (virtio 1.3 §5.11.1), whose configuration has 40 bytes (§5.11.4); the hiprio queue is one of the queues.
        return
            "\(QemuDevices.withSharedMemory),chardev=\(chardev),virtio-id=26,num_vqs=\(1 + share.requestQueues),"
            + "vq_size=\(share.queueSize),config_size=40"
    }

    /// A socket is no plain value for QEMU, so this is JSON.
    private func otherProcess(at path: String) -> String {
        let quoted = path.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case ..<" ":
                "\\u" + String(repeating: "0", count: scalar.value < 16 ? 3 : 2)
                    + String(scalar.value, radix: 16)
            default: "\(scalar)"
            }
        }.joined()
        let socket = "{\"type\":\"unix\",\"path\":\"\(quoted)\"}"
        // In milliseconds. A reset waits for what the daemon has under way, and QEMU's own patience of 5 s is short for that.
        return "{\"driver\":\"\(QemuDevices.otherProcess)\",\"x-msg-timeout\":60000,\"socket\":\(socket)}"
    }

    /// QEMU ends an option's value at a comma unless it is doubled.
    private func escaped(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}

/// The words for the guest's kernel.
struct KernelCommandLine {
    let text: String

    /// - Parameters:
    ///   - console: the device of the kernel's log.
    ///   - channels: `guest_console` of GuestScripts.
    init(_ configuration: GuestConfiguration, console: String, channels: String) {
        var words = ["console=\(console)", "panic=-1", "guest_console=\(channels)"]
        switch configuration.root {
        case .initramfs: break
        case .share(let tag):
            words.append("guest_root=\(tag)")
            if let dax = Self.dax(of: tag, configuration) { words.append("guest_root_options=,\(dax)") }
        case .kernelMounted(let tag):
            words += ["root=\(tag)", "rootfstype=virtiofs", "rw", "init=/bin/sh"]
            if let dax = Self.dax(of: tag, configuration) { words.append("rootflags=\(dax)") }
        }
        words += configuration.kernelArguments
        if case .kernelMounted = configuration.root {
            words += ["--", "-c", "\"\(GuestScripts.kernelRoot)\""]
        }
        text = words.joined(separator: " ")
    }

    private static func dax(of tag: String, _ configuration: GuestConfiguration) -> String? {
        configuration.shares.first { $0.tag == tag }?.dax.map { "dax=\($0.rawValue)" }
    }
}
