// SPDX-License-Identifier: Apache-2.0
import Errors

/// What runs the guest.
package enum Machine: String, Sendable, CaseIterable {
    case qemu
    case uml
}

/// Where the guest's root file system comes from.
package enum GuestRoot: Equatable, Sendable {
    /// The initramfs with busybox: nothing of the host.
    case initramfs
    /// The share of this tag, mounted by the initramfs, which then makes it the root.
    case share(tag: String)
    /// The share of this tag, mounted by the kernel itself without an initramfs: virtiofs and its transport must be built in.
    case kernelMounted(tag: String)
}

/// How QEMU runs the guest's instructions.
package enum Accelerator: String, Sendable, CaseIterable {
    /// KVM if a guest was seen to boot with it on this machine, else TCG.
    case automatic = "auto"
    case kvm
    case tcg
}

/// Which files of a share with a DAX window the guest maps instead of reading them (its mount option `dax=`).
package enum DAXMode: String, Sendable, CaseIterable {
    /// Every regular file.
    case always
    /// Those that the daemon says.
    case inode
    case never
}

/// Whose device shows a share to the guest.
package enum ShareDevice: String, Sendable, CaseIterable {
    /// The machine's own, at the socket of a vhost-user daemon.
    case vhostUser = "vhost-user"
    /// That of another process, at its vfio-user socket.
    case vfioUser = "vfio-user"
}

/// A virtio-fs device of the guest, served by a daemon that listens on a socket.
package struct GuestShare: Equatable, Sendable {
    /// At most 36 bytes, no "/"; the share is mounted at /mnt/TAG.
    package var tag: String
    package var socketPath: String
    /// Mounted with `-o ro`.
    package var readOnly: Bool
    /// Request queues of the device; the daemon must offer as many.
    package var requestQueues: Int
    package var queueSize: Int
    /// Mount it at /mnt/TAG when the guest is up.
    package var mounted: Bool
    /// The size of the daemon's DAX window in MiB: a power of two from 2 to 512. nil: the device has none.
    package var windowMebibytes: Int?
    /// nil leaves it to the guest's kernel, which does as with `inode`.
    package var dax: DAXMode?
    package var device = ShareDevice.vhostUser
    /// Start `GuestConfiguration.agent` for it; its daemon must have `--cache shared`.
    package var hasAgent = false

    package init(
        tag: String, socketPath: String, readOnly: Bool = false, requestQueues: Int = 1,
        queueSize: Int = 1024,
        mounted: Bool = true, windowMebibytes: Int? = nil, dax: DAXMode? = nil
    ) {
        self.tag = tag
        self.socketPath = socketPath
        self.readOnly = readOnly
        self.requestQueues = requestQueues
        self.queueSize = queueSize
        self.mounted = mounted
        self.windowMebibytes = windowMebibytes
        self.dax = dax
    }

    /// What follows -o of the guest's mount; nil for nothing.
    package var mountOptions: String? {
        let words = (readOnly ? ["ro"] : []) + (dax.map { ["dax=\($0.rawValue)"] } ?? [])
        return words.isEmpty ? nil : words.joined(separator: ",")
    }
}

/// Everything a guest is made of. A nil path means: look for it on this machine.
package struct GuestConfiguration: Sendable {
    package var machine = Machine.qemu
    /// qemu-system-x86_64, or linux.uml for UML.
    package var program: String?
    package var kernel: String?
    /// The kernel's /lib/modules/VERSION.
    package var modules: String?
    package var memoryMebibytes = 1024
    package var processors = 2
    package var accelerator = Accelerator.automatic
    package var shares: [GuestShare] = []
    package var root = GuestRoot.initramfs
    /// The program of `AgentProgram`, if shares are to have agents.
    package var agent: String?
    /// More words for the kernel's command line.
    package var kernelArguments: [String] = []
    /// More arguments for QEMU or UML.
    package var machineArguments: [String] = []
    /// How long the guest may take from its start until it serves commands.
    package var bootTimeoutMilliseconds: Int32 = 120_000
    /// A descriptor that becomes readable when everything shall end, such as a signalfd; −1 for none.
    package var stopDescriptor: Int32 = -1
    /// Whether `GuestMachine.restart` will be used (QEMU); otherwise a guest that resets itself ends its machine.
    package var mayRestart = false
    /// Copy the kernel's log to our standard error while it comes.
    package var verbose = false

    package init() {}
}

/// Where a command's input comes from.
package enum GuestInput: Sendable {
    case bytes([UInt8])
    /// Read to its end while the command runs.
    case descriptor(Int32)
}

/// Where a command's output goes.
package enum GuestOutput: Sendable {
    case capture
    case descriptor(Int32)
}

/// One command for a guest: shell code and its streams.
package struct GuestCommand: Sendable {
    /// Code for the guest's /bin/sh.
    package var script: String
    package var input: GuestInput = .bytes([])
    package var output: GuestOutput = .capture
    package var errors: GuestOutput = .capture
    package var timeoutMilliseconds: Int32 = -1

    package init(_ script: String) { self.script = script }

    /// A program and its arguments, with no shell in between.
    package init(arguments: [String]) {
        script = "exec " + arguments.map { GuestScripts.quoted($0) }.joined(separator: " ")
    }
}

/// What a command left.
package struct GuestResult: Sendable {
    /// The captured standard output; empty if it went to a descriptor.
    package var output: [UInt8]
    /// The captured standard error.
    package var errors: [UInt8]
    /// As a shell gives it: 128 + signal for a killed command.
    package var exitStatus: Int32
    /// The kernel's log so far, at most its last 256 KiB.
    package var log: [UInt8]

    package var text: String { String(decoding: output, as: UTF8.self) }
    package var errorText: String { String(decoding: errors, as: UTF8.self) }
    package var logText: String { String(decoding: log, as: UTF8.self) }
}

/// Why a guest did not do what it was asked.
package enum GuestError: Error, CustomStringConvertible {
    case startup(StartupError)
    /// The deadline of a command passed.
    case timedOut
    /// `stopDescriptor` became readable.
    case stopped
    /// Nobody reads the command's output any more.
    case outputClosed
    /// The guest ended or never came up; `log` is the end of what it and its machine said.
    case died(reason: String, log: String)

    package var description: String {
        switch self {
        case .startup(let error): error.description
        case .timedOut: "the guest did not finish in time"
        case .stopped: "stopped"
        case .outputClosed: "nobody reads the output"
        case .died(let reason, let log):
            log.isEmpty ? reason : "\(reason); the last lines of its log:\n\(log)"
        }
    }
}
