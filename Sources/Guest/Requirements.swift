// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// Something of this machine that a test needs and a machine may lack.
package enum Requirement: String, CaseIterable, Sendable {
    /// qemu-system-x86_64, a kernel of /boot with its modules, and busybox.
    case qemu
    /// linux.uml with its modules, and busybox.
    case uml
    /// What scripts/lab fetches.
    case lab
    /// QEMU's C virtiofsd.
    case cDaemon
    /// What scripts/debian-root makes.
    case debianRoot
    /// The agent for guests, as scripts/build-agent makes it.
    case agent
    /// entr(1).
    case entr
    /// The process runs as root.
    case root
    /// /dev/fuse, for a test that mounts.
    case fuse
    /// What makes files of any size mappable: FUSE_PASSTHROUGH (Linux 6.9) and the right to use it.
    case passthrough
    /// fusermount3, for a test that mounts without being root.
    case fusermount

    /// What is missing and what to do about it, or nil if it is there.
    package var missing: String? {
        switch self {
        case .qemu:
            Files.program("qemu-system-x86_64") == nil
                ? "qemu-system-x86_64 (package qemu-system-x86)" : missingGuest(.qemu)
        case .uml: missingGuest(.uml)
        case .lab: Lab.isThere ? nil : "QEMU 11.1 and kernel 7.3 (make lab)"
        case .cDaemon: Files.program(Lab.cDaemon) == nil ? "\(Lab.cDaemon) (package qemu-system-common)" : nil
        case .debianRoot:
            Files.isReadable("\(Lab.debianRoot).stamp") ? nil : "a Debian tree (scripts/debian-root)"
        case .agent: Files.program(Lab.agent) == nil ? "\(Lab.agent) (scripts/build-agent)" : nil
        case .entr: Files.program("entr") == nil ? "entr (package entr)" : nil
        case .root: geteuid() == 0 ? nil : "root"
        case .passthrough: missingPassthrough
        case .fusermount: Files.program("fusermount3") == nil ? "fusermount3 (package fuse3)" : nil
        case .fuse: (try? openFuseDevice().rawValue) == nil ? "/dev/fuse" : nil
        }
    }

    /// A daemon of ours says what it lacks when it starts.
    private var missingPassthrough: String? {
        do throws(StartupError) {
            let directory = try starting("make", "a temporary directory") { () throws(Errno) in
                try TemporaryDirectory(prefix: "virtiofs-")
            }
            var daemon = DaemonConfiguration(tag: "none", directory: directory.path)
            daemon.windowMebibytes = 2
            let lines = try DaemonProcess(daemon).messageText.split(separator: "\n")
            return lines.first { $0.contains("multiple of 2 MiB") }.map { "FUSE passthrough (\($0))" }
        } catch { return "\(error)" }
    }

    private func missingGuest(_ machine: Machine) -> String? {
        var configuration = GuestConfiguration()
        configuration.machine = machine
        do throws(StartupError) {
            _ = try Initramfs.file(for: try Kernel.find(configuration), machine: machine)
            return nil
        } catch { return "\(error)" }
    }
}

/// Says whether a test can run, for `.enabled(if:)`; what it lacks goes to standard error, once for each test.
package func requirementsMet(_ test: String, _ requirements: Requirement...) -> Bool {
    let missing = requirements.compactMap(\.missing)
    if missing.isEmpty { return true }
    let line = "skipped: \(test): needs \(missing.joined(separator: "; "))\n"
    _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
    return false
}

/// The places of what scripts/lab and scripts/debian-root keep in our cache.
package enum Lab {
    package static var qemu: String { folder + "/lab/bin/qemu-system-x86_64" }
    package static var kernel: String { folder + "/lab/kernel/vmlinuz" }
    package static var rustDaemon: String { folder + "/lab/bin/virtiofsd-rust" }
    package static var debianRoot: String { folder + "/debian-root" }
    /// Where scripts/build-agent builds, as seen from where SwiftPM puts the tests.
    package static var agent: String {
        let own = (try? Files.ownProgram()) ?? ""
        let checkout = own.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()
        return environmentVariable("VIRTIOFS_AGENT") ?? checkout + "/.build-agent/release/virtiofs-agent"
    }
    package static let cDaemon = "/usr/lib/qemu/virtiofsd"

    /// The module folder of the lab's kernel.
    package static var modules: String? {
        let parent = folder + "/lab/kernel/modules"
        return (try? Files.names(in: parent))?.first.map { "\(parent)/\($0)" }
    }

    package static var isThere: Bool { Files.isReadable(folder + "/lab/layout") && modules != nil }

    /// A guest of QEMU 11.1 and kernel 7.3.
    package static var configuration: GuestConfiguration {
        var configuration = GuestConfiguration()
        configuration.program = qemu
        configuration.kernel = kernel
        configuration.modules = modules
        return configuration
    }

    private static var folder: String { (try? Cache.path(".")) ?? "" }
}
