// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// The first file system of a guest: busybox, the modules its kernel lacks, and our /init.
package enum Initramfs {
    /// The archive for a kernel as a file in our cache, made if its inputs are new.
    ///
    /// - Parameter agent: a program that becomes /bin/virtiofs-agent.
    package static func file(
        for kernel: Kernel, machine: Machine, agent: String? = nil
    ) throws(StartupError) -> String {
        guard let busybox = Files.program("busybox", alsoIn: ["/bin", "/usr/bin"]) else {
            throw Missing.program("busybox", package: "busybox-static")
        }
        let modules = try moduleOrder(kernel, machine)
        let subject = "the guest's initramfs"
        let path = try starting("make", subject) { () throws(Errno) in
            var inputs = [GuestScripts.initramfs, try Files.identity(busybox)]
            for module in modules { inputs += [module, try Files.identity("\(kernel.modules)/\(module)")] }
            if let agent { inputs += ["agent", try Files.identity(agent)] }
            return try Cache.path("initramfs-\(Cache.key(inputs)).cpio")
        }
        if Files.isReadable(path) { return path }
        let archive = try build(
            busybox: busybox, folder: kernel.modules, modules: modules, agent: agent)
        try starting("write", path) { () throws(Errno) in try Files.replace(path, with: archive) }
        return path
    }

    /// What the guest loads, in order. Everything but these two is pulled in as something they need.
    private static func moduleOrder(_ kernel: Kernel, _ machine: Machine) throws(StartupError) -> [String] {
        let wanted = machine == .uml ? ["virtiofs"] : ["virtio_pci", "virtio_console", "virtiofs"]
        let path = "\(kernel.modules)/modules.dep"
        let dependencies = try starting("read", path) { () throws(Errno) in try Files.text(path) }
        let builtin = (try? Files.text("\(kernel.modules)/modules.builtin")) ?? ""
        do throws(MissingModule) {
            return try KernelModules(dependencies: dependencies, builtin: builtin).loadOrder(wanted)
        } catch {
            throw StartupError(
                operation: "use", subject: kernel.image, reason: "it has no module \(error.name)",
                hint: "use another kernel, such as that of the package linux-image-cloud-amd64")
        }
    }

    /// - Parameter modules: paths below `folder`, in the order to load them.
    package static func build(
        busybox: String, folder: String, modules: [String], agent: String? = nil
    ) throws(StartupError) -> [UInt8] {
        var archive = CpioArchive()
        for name in [
            "bin", "dev", "etc", "mnt", "modules", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var",
        ] {
            archive.addDirectory(name, permissions: name == "tmp" ? 0o1777 : 0o755)
        }
        for name in ["usr/bin", "usr/sbin"] { archive.addDirectory(name) }
        archive.addCharacterDevice("dev/console", major: 5, minor: 1)
        archive.addCharacterDevice("dev/null", major: 1, minor: 3, permissions: 0o666)
        archive.addFile("etc/passwd", Array("root:x:0:0:root:/root:/bin/sh\n".utf8))
        archive.addFile("etc/group", Array("root:x:0:\n".utf8))
        archive.addFile("bin/busybox", try contents(busybox), permissions: 0o755)
        if let agent {
            archive.addFile("bin/virtiofs-agent", try contents(agent), permissions: 0o755)
        }
        archive.addFile("init", Array(GuestScripts.initramfs.utf8), permissions: 0o755)
        var order = ""
        for module in modules {
            let name = KernelModules.name(ofPath: module) + ".ko"
            archive.addFile("modules/\(name)", try decompressed("\(folder)/\(module)"))
            order += name + "\n"
        }
        archive.addFile("modules/order", Array(order.utf8))
        return archive.finish()
    }

    /// A module's bytes; .xz, .zst and .gz by the tool that knows them.
    private static func decompressed(_ path: String) throws(StartupError) -> [UInt8] {
        let tools = [(".xz", "xz", "xz-utils"), (".zst", "zstd", "zstd"), (".gz", "gzip", "gzip")]
        for (suffix, tool, package) in tools where path.hasSuffix(suffix) {
            guard let program = Files.program(tool) else { throw Missing.program(tool, package: package) }
            let result = try starting("start", program) { () throws(Errno) in
                try ChildProcess.run(program, ["-dc", path])
            }
            guard result.end == .exited(0) else {
                throw StartupError(operation: "decompress", subject: path, reason: "\(tool) failed")
            }
            return result.output
        }
        return try contents(path)
    }

    private static func contents(_ path: String) throws(StartupError) -> [UInt8] {
        try starting("read", path) { () throws(Errno) in try Files.read(path) }
    }
}

/// Files we can make again, under ${XDG_CACHE_HOME:-~/.cache}/swift-virtiofs.
package enum Cache {
    /// The path of a file of the cache, whose folder exists then.
    package static func path(_ name: String) throws(Errno) -> String {
        let folder = "\(root)/swift-virtiofs"
        try Files.makeDirectories(folder)
        return "\(folder)/\(name)"
    }

    private static var root: String {
        if let folder = environmentVariable("XDG_CACHE_HOME"), folder.hasPrefix("/") { return folder }
        return (environmentVariable("HOME") ?? "/tmp") + "/.cache"
    }

    /// 16 hexadecimal digits that stand for `inputs` (FNV-1a, 64 bits; against change, not against malice).
    package static func key(_ inputs: [String]) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for input in inputs {
            for byte in Array(input.utf8) + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
