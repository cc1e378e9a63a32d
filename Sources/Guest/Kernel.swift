// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// A kernel to boot and the folder with its modules.
package struct Kernel: Equatable, Sendable {
    package let image: String
    package let modules: String

    /// The kernel named by the configuration, else the newest of /boot whose modules are there; for UML the program itself.
    package static func find(_ configuration: GuestConfiguration) throws(StartupError) -> Kernel {
        if configuration.machine == .uml { return try findUML(configuration) }
        guard let image = configuration.kernel else { return try newest(modules: configuration.modules) }
        guard Files.isReadable(image) else {
            throw StartupError(operation: "boot the kernel", subject: image, reason: "it cannot be read")
        }
        if let modules = configuration.modules { return Kernel(image: image, modules: try checked(modules)) }
        let version = version(ofImage: image)
        return Kernel(image: image, modules: try checked("/lib/modules/\(version)"))
    }

    /// "6.1.0-9-amd64" of "/boot/vmlinuz-6.1.0-9-amd64".
    package static func version(ofImage path: String) -> String {
        let file = path.split(separator: "/").last ?? ""
        guard let dash = file.firstIndex(of: "-") else { return String(file) }
        return String(file[file.index(after: dash)...])
    }

    /// Orders versions by their numbers: "6.1.0-10" is newer than "6.1.0-9".
    package static func isOlder(_ first: String, _ second: String) -> Bool {
        let left = numbers(first)
        let right = numbers(second)
        return left == right ? first < second : left.lexicographicallyPrecedes(right)
    }

    private static func numbers(_ version: String) -> [Int] {
        version.split { !$0.isNumber }.compactMap { Int($0) }
    }

    private static func newest(modules: String?) throws(StartupError) -> Kernel {
        let images = ((try? Files.names(in: "/boot")) ?? []).filter { $0.hasPrefix("vmlinuz-") }
        let sorted = images.map { version(ofImage: $0) }.sorted { isOlder($1, $0) }
        for version in sorted where Files.isReadable("/boot/vmlinuz-\(version)") {
            let folder = modules ?? "/lib/modules/\(version)"
            if Files.isReadable("\(folder)/modules.dep") {
                return Kernel(image: "/boot/vmlinuz-\(version)", modules: folder)
            }
        }
        throw StartupError(
            operation: "find", subject: "a kernel",
            reason: "no readable /boot/vmlinuz-VERSION has its /lib/modules/VERSION",
            hint:
                "install the package linux-image-cloud-amd64 (or linux-image-amd64), or give --kernel and --modules"
        )
    }

    private static func findUML(_ configuration: GuestConfiguration) throws(StartupError) -> Kernel {
        guard let program = Files.program(configuration.program ?? "linux.uml") else {
            throw Missing.program("linux.uml", package: "user-mode-linux")
        }
        if let modules = configuration.modules {
            return Kernel(image: program, modules: try checked(modules))
        }
        let folder = "/usr/lib/uml/modules"
        let versions = ((try? Files.names(in: folder)) ?? []).sorted { isOlder($1, $0) }
        guard let version = versions.first else {
            throw StartupError(
                operation: "find", subject: folder, reason: "there are no modules for linux.uml",
                hint: "install the package user-mode-linux")
        }
        return Kernel(image: program, modules: try checked("\(folder)/\(version)"))
    }

    private static func checked(_ modules: String) throws(StartupError) -> String {
        guard Files.isReadable("\(modules)/modules.dep") else {
            throw StartupError(
                operation: "read", subject: "\(modules)/modules.dep", reason: "it is not there",
                hint: "give the kernel's module folder with --modules, or run depmod")
        }
        return modules
    }
}
