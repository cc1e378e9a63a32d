// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import Guest

@Suite struct KernelTests {
    @Test(arguments: [
        ("6.1.0-9-amd64", "6.1.0-10-amd64"), ("6.1.0", "6.1.0-1"), ("6.9", "6.12"),
        ("5.10-cloud-amd64", "6.1-amd64"),
        ("6.1-amd64", "6.1-cloud-amd64"),
    ])
    func versionsAreOrderedByNumber(older: String, newer: String) {
        #expect(Kernel.isOlder(older, newer))
        #expect(!Kernel.isOlder(newer, older))
        #expect(!Kernel.isOlder(newer, newer))
    }

    @Test func versionOfImage() {
        #expect(Kernel.version(ofImage: "/boot/vmlinuz-6.1.0-9-amd64") == "6.1.0-9-amd64")
        #expect(Kernel.version(ofImage: "vmlinuz") == "vmlinuz")
    }

    @Test func unreadableKernelIsSaid() {
        var configuration = GuestConfiguration()
        configuration.kernel = "/nonexistent/vmlinuz-1"
        let error = #expect(throws: StartupError.self) { try Kernel.find(configuration) }
        #expect(error?.description == "cannot boot the kernel /nonexistent/vmlinuz-1: it cannot be read")
    }

    @Test func kernelWithoutModulesIsSaid() {
        var configuration = GuestConfiguration()
        configuration.kernel = "/proc/self/exe"
        configuration.modules = "/nonexistent"
        let error = #expect(throws: StartupError.self) { try Kernel.find(configuration) }
        #expect(error?.subject == "/nonexistent/modules.dep")
    }
}
