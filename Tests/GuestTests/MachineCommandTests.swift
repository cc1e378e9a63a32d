// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import Guest

@Suite struct MachineCommandTests {
    private func qemu(
        _ configuration: GuestConfiguration, initramfs: String? = "/i", useKVM: Bool = false
    ) -> [String] {
        QemuCommand(
            configuration: configuration, program: "/qemu", kernel: "/k", initramfs: initramfs, useKVM: useKVM
        ).command.arguments
    }

    /// The value after an option; options that come more than once give all.
    private func values(_ option: String, _ arguments: [String]) -> [String] {
        zip(arguments, arguments.dropFirst()).filter { $0.0 == option }.map(\.1)
    }

    @Test func qemuWithoutShares() {
        let expected = [
            "-machine", "q35,memory-backend=mem", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024M",
            "-object", "memory-backend-memfd,id=mem,size=1024M,share=on",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-kernel", "/k", "-initrd",
            "/i",
            "-append", "console=ttyS0 panic=-1 guest_console=virtio",
            "-chardev", "socket,id=log,fd=3", "-chardev", "socket,id=control,fd=4", "-chardev",
            "socket,id=input,fd=5",
            "-chardev", "socket,id=output,fd=6", "-chardev", "socket,id=errors,fd=7",
            "-chardev", "socket,id=terminal,fd=8",
            "-serial", "chardev:log", "-serial", "chardev:terminal", "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=control,name=control",
            "-device", "virtserialport,chardev=input,name=input",
            "-device", "virtserialport,chardev=output,name=output",
            "-device", "virtserialport,chardev=errors,name=errors",
        ]
        #expect(qemu(GuestConfiguration()) == expected)
    }

    @Test func qemuShares() {
        var configuration = GuestConfiguration()
        configuration.shares = [
            GuestShare(tag: "a,b", socketPath: "/s,0", requestQueues: 4),
            GuestShare(tag: "c", socketPath: "/s1"),
        ]
        configuration.memoryMebibytes = 512
        configuration.processors = 3
        configuration.kernelArguments = ["quiet"]
        configuration.machineArguments = ["-S"]
        let arguments = qemu(configuration, useKVM: true)
        #expect(values("-accel", arguments) == ["kvm"])
        #expect(values("-cpu", arguments) == ["host"])
        #expect(values("-m", arguments) == ["512M"])
        #expect(values("-smp", arguments) == ["3"])
        #expect(
            values("-chardev", arguments).suffix(2) == [
                "socket,id=share0,path=/s,,0", "socket,id=share1,path=/s1",
            ])
        #expect(
            values("-device", arguments).suffix(2) == [
                "vhost-user-fs-pci,chardev=share0,tag=a,,b,queue-size=1024,num-request-queues=4",
                "vhost-user-fs-pci,chardev=share1,tag=c,queue-size=1024,num-request-queues=1",
            ])
        #expect(values("-append", arguments) == ["console=ttyS0 panic=-1 guest_console=virtio quiet"])
        #expect(arguments.last == "-S")
    }

    /// A device of another process is found by its socket, whose path may hold anything.
    @Test func qemuDeviceOfAnotherProcess() {
        var configuration = GuestConfiguration()
        configuration.shares = [GuestShare(tag: "a", socketPath: "/a \"b\\c\n")]
        configuration.shares[0].device = .vfioUser
        let arguments = qemu(configuration)
        #expect(
            values("-device", arguments).last == #"{"driver":"vfio-user-pci","x-msg-timeout":60000,"#
                + #""socket":{"type":"unix","path":"/a \"b\\c\u000a"}}"#)
        #expect(!values("-chardev", arguments).contains { $0.contains("share0") })
        #expect(arguments.contains("-no-reboot"))
        configuration.mayRestart = true
        #expect(!qemu(configuration).contains("-no-reboot"))
    }

    /// QEMU's file system device has no window; another, which asks the daemon for the tag, takes its place.
    @Test func qemuWindows() {
        var configuration = GuestConfiguration()
        configuration.shares = [
            GuestShare(tag: "a", socketPath: "/s0", requestQueues: 4, windowMebibytes: 64, dax: .always),
            GuestShare(tag: "b", socketPath: "/s1"),
        ]
        configuration.root = .share(tag: "a")
        #expect(
            values("-device", qemu(configuration)).suffix(2) == [
                "vhost-user-test-device-pci,chardev=share0,virtio-id=26,num_vqs=5,vq_size=1024,config_size=40",
                "vhost-user-fs-pci,chardev=share1,tag=b,queue-size=1024,num-request-queues=1",
            ])
        let words = "console=ttyS0 panic=-1 guest_console=virtio"
        #expect(
            values("-append", qemu(configuration)) == ["\(words) guest_root=a guest_root_options=,dax=always"]
        )
        configuration.root = .kernelMounted(tag: "a")
        let line = values("-append", qemu(configuration))[0]
        #expect(
            line.hasPrefix("\(words) root=a rootfstype=virtiofs rw init=/bin/sh rootflags=dax=always -- "))
    }

    @Test func mountOptions() {
        var share = GuestShare(tag: "a", socketPath: "/s")
        #expect(share.mountOptions == nil)
        share.dax = .never
        #expect(share.mountOptions == "dax=never")
        share.readOnly = true
        #expect(share.mountOptions == "ro,dax=never")
        share.dax = nil
        #expect(share.mountOptions == "ro")
    }

    @Test func roots() {
        var configuration = GuestConfiguration()
        configuration.root = .share(tag: "r")
        #expect(
            values("-append", qemu(configuration)) == [
                "console=ttyS0 panic=-1 guest_console=virtio guest_root=r"
            ])
        configuration.root = .kernelMounted(tag: "r")
        configuration.kernelArguments = ["quiet"]
        let arguments = qemu(configuration, initramfs: nil)
        #expect(values("-initrd", arguments) == [])
        let line = values("-append", arguments)[0]
        #expect(
            line.hasPrefix(
                "console=ttyS0 panic=-1 guest_console=virtio root=r rootfstype=virtiofs rw init=/bin/sh quiet -- -c \""
            ))
        #expect(line.hasSuffix("\""))
        // The kernel's limit (COMMAND_LINE_SIZE of x86) and its quoting.
        #expect(line.utf8.count < 2048)
        #expect(line.count { $0 == "\"" } == 2)
        #expect(!line.contains("\n"))
        #expect(line.contains("receive() { trap"))
    }

    @Test func uml() {
        var configuration = GuestConfiguration()
        configuration.memoryMebibytes = 256
        configuration.shares = [GuestShare(tag: "a", socketPath: "/s")]
        let command = UmlCommand(
            configuration: configuration, program: "/uml", initramfs: "/i", directory: "/d"
        ).command
        #expect(command.program == "/uml")
        #expect(
            command.arguments == [
                "mem=256M", "initrd=/i", "uml_dir=/d/", "umid=guest", "con=null", "ssl=null",
                "con0=null,fd:3",
                "con1=fd:4,fd:4", "con2=fd:5,fd:5", "con3=fd:6,fd:6", "con4=fd:7,fd:7", "con5=fd:8,fd:8",
                "virtio_uml.device=/s:26", "console=tty0 panic=-1 guest_console=tty",
            ])
    }

    @Test(arguments: ["", "a/b", ".", "..", "a\u{1}", String(repeating: "t", count: 37)])
    func badTagsAreRefused(tag: String) {
        #expect(throws: StartupError.self) { try ShareTag.check(tag) }
    }

    @Test func goodTags() throws {
        try ShareTag.check(String(repeating: "t", count: 36))
        try ShareTag.check("a b,c=d")
    }

    @Test func impossibleGuestsAreRefused() {
        var small = GuestConfiguration()
        small.memoryMebibytes = 63
        #expect(throws: StartupError.self) { try MachinePlan.command(for: small, directory: "/d") }
        var rootless = GuestConfiguration()
        rootless.root = .share(tag: "nothing")
        let error = #expect(throws: StartupError.self) {
            try MachinePlan.command(for: rootless, directory: "/d")
        }
        #expect(error?.reason == "no share has this tag")
        var missing = GuestConfiguration()
        missing.root = .kernelMounted(tag: "a b")
        missing.shares = [GuestShare(tag: "a b", socketPath: "/s")]
        #expect(throws: StartupError.self) { try MachinePlan.command(for: missing, directory: "/d") }
    }
}
