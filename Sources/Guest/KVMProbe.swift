// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Finds out whether guests run under KVM here. That /dev/kvm opens says little: in nested virtualisation a guest may start
/// and then hang.
package enum KVMProbe {
    private static let timeoutMilliseconds: Int32 = 5000

    /// True if the configuration asks for KVM, or leaves the choice to us and a small guest came up with it.
    /// The answer holds for this boot of the machine and this QEMU, and is kept in our cache.
    package static func isUsable(_ configuration: GuestConfiguration, program: String) -> Bool {
        switch configuration.accelerator {
        case .kvm: return true
        case .tcg: return false
        case .automatic: break
        }
        guard unsafe access("/dev/kvm", R_OK | W_OK) == 0 else { return false }
        let boot = (try? Files.text("/proc/sys/kernel/random/boot_id")) ?? ""
        let key = Cache.key([boot, program, (try? Files.identity(program)) ?? ""])
        guard let path = try? Cache.path("kvm-\(key)") else { return probe(configuration, program) }
        if let answer = try? Files.text(path) { return answer == "yes" }
        let answer = probe(configuration, program)
        try? Files.replace(path, with: Array((answer ? "yes" : "no").utf8))
        return answer
    }

    /// Boots a guest without shares.
    private static func probe(_ configuration: GuestConfiguration, _ program: String) -> Bool {
        var small = configuration
        small.program = program
        small.accelerator = .kvm
        small.shares = []
        small.root = .initramfs
        small.machineArguments = []
        small.memoryMebibytes = 256
        small.processors = 1
        small.bootTimeoutMilliseconds = timeoutMilliseconds
        return (try? GuestMachine(booting: small)) != nil
    }
}
