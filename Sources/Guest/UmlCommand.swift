// SPDX-License-Identifier: Apache-2.0

/// Builds the command line of linux.uml, the kernel that is an ordinary process; pure.
package struct UmlCommand {
    /// The virtio device number of a file system (virtio 1.3 §5).
    private static let fileSystemDevice = 26

    package let configuration: GuestConfiguration
    package let program: String
    package let initramfs: String
    /// For its control socket and process id.
    package let directory: String

    package init(configuration: GuestConfiguration, program: String, initramfs: String, directory: String) {
        self.configuration = configuration
        self.program = program
        self.initramfs = initramfs
        self.directory = directory
    }

    package var command: MachineCommand {
        var arguments = [
            "mem=\(configuration.memoryMebibytes)M", "initrd=\(initramfs)", "uml_dir=\(directory)/",
            "umid=guest",
            "con=null", "ssl=null",
            // It writes its log where it also says what is wrong before its console works: descriptors 0 and 1.
            "con0=null,fd:\(Channel.log.descriptor)",
        ]
        // tty1 to tty5 of GuestScripts.
        for (number, channel) in [Channel.control, .input, .output, .errors, .terminal].enumerated() {
            arguments.append("con\(number + 1)=fd:\(channel.descriptor),fd:\(channel.descriptor)")
        }
        for share in configuration.shares {
            arguments.append("virtio_uml.device=\(share.socketPath):\(Self.fileSystemDevice)")
        }
        arguments.append(KernelCommandLine(configuration, console: "tty0", channels: "tty").text)
        return MachineCommand(
            program: program, arguments: arguments + configuration.machineArguments, summary: "UML")
    }
}
