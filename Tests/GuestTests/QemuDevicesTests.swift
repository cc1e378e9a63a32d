// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import Guest

@Suite struct QemuDevicesTests {
    private func configuration(_ sizes: Int?..., machine: Machine = .qemu) -> GuestConfiguration {
        var configuration = GuestConfiguration()
        configuration.machine = machine
        configuration.shares = sizes.enumerated().map {
            GuestShare(tag: "t\($0.offset)", socketPath: "/s", windowMebibytes: $0.element)
        }
        return configuration
    }

    private func refusal(_ configuration: GuestConfiguration) -> String? {
        do throws(StartupError) {
            try QemuDevices.checkWindows(configuration)
            return nil
        } catch { return error.reason }
    }

    @Test func windowsThatQemuCanMap() {
        for size in [2, 64, 512] { #expect(refusal(configuration(size)) == nil) }
        #expect(refusal(configuration(256, nil, 128, 128)) == nil)
    }

    @Test func windowsThatItCannot() {
        for size in [-2, 0, 1, 3, 65, 1024] {
            #expect(refusal(configuration(size))?.hasPrefix("its size must be a power of two") == true)
        }
        #expect(
            refusal(configuration(512, 2)) == "QEMU can map 512M of files in all, and these are 514M")
        #expect(refusal(configuration(64, machine: .uml)) == "UML's devices have no shared memory")
        var readOnly = configuration(64)
        readOnly.shares[0].readOnly = true
        #expect(refusal(readOnly) == "it is read-only, and QEMU maps only files that may be written")
        var sizeless = configuration(nil)
        sizeless.shares[0].dax = .always
        #expect(refusal(sizeless) != nil)
    }

    private var windowed: [GuestShare] { configuration(64).shares }

    /// A window in a device of another process is no matter of QEMU's; such a device is.
    @Test func devicesOfOtherProcesses() throws {
        var other = configuration(1024)
        other.shares[0].device = .vfioUser
        #expect(refusal(other) == nil)
        other.shares[0].readOnly = true
        #expect(refusal(other) == nil)
        let error = #expect(throws: StartupError.self) {
            try QemuDevices.program(for: other.shares, "/bin/true")
        }
        #expect(
            error?.description.hasPrefix(
                "cannot plug a device into the guest by /bin/true: it has no vfio-user-pci") == true)
        #expect(try QemuDevices.program(for: configuration(nil).shares, nil) == nil)
    }

    @Test func devicesByTheirHelp() {
        let answer = """
            vhost-user-fs-pci options:
              chardev=<str>          - ID of a chardev to use as a backend
            """
        #expect(QemuDevices.describes("vhost-user-fs-pci", answer))
        #expect(!QemuDevices.describes("vhost-user-fs", answer))
        #expect(!QemuDevices.describes("chardev", answer))
        #expect(!QemuDevices.describes("vhost-user-fs-pci", ""))
    }

    /// Its status is 0 in either case.
    @Test(.enabled(if: requirementsMet("nonsenseIsNoDevice", .qemu))) func nonsenseIsNoDevice() throws {
        let program = try #require(Files.program("qemu-system-x86_64"))
        #expect(try QemuDevices.has("vhost-user-fs-pci", program))
        #expect(try !QemuDevices.has("no-such-device-pci", program))
    }

    @Test func programWithoutTheDeviceIsSaid() {
        let error = #expect(throws: StartupError.self) { try QemuDevices.program(for: windowed, "/bin/true") }
        #expect(
            error?.description.hasPrefix(
                "cannot give the guest a DAX window by /bin/true: it has no vhost-user-test-device-pci")
                == true)
        let missing = #expect(throws: StartupError.self) {
            try QemuDevices.program(for: windowed, "/nonexistent")
        }
        #expect(missing?.reason == "it is not installed")
    }

    @Test(.enabled(if: requirementsMet("labHasTheDevice", .lab))) func labHasTheDevice() throws {
        #expect(try QemuDevices.program(for: windowed, Lab.qemu) == Files.program(Lab.qemu))
    }
}
