// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import Guest

@Suite struct InitramfsTests {
    @Test func keyDependsOnEveryInputAndOnItsBorders() {
        #expect(Cache.key([]) == "cbf29ce484222325")  // the offset basis of 64-bit FNV-1a
        #expect(Cache.key(["ab", "c"]) != Cache.key(["a", "bc"]))
        #expect(Cache.key(["ab", "c"]) == Cache.key(["ab", "c"]))
        #expect(Cache.key(["a"]).count == 16)
    }

    @Test func archiveHoldsBusyboxInitAndTheModulesInOrder() throws {
        let folder = try TemporaryDirectory(prefix: "initramfs-test-")
        try Files.replace("\(folder.path)/b-x.ko", with: Array("BBBB".utf8))
        try Files.replace("\(folder.path)/busybox", with: Array("BUSY".utf8))
        let archive = try Initramfs.build(
            busybox: "\(folder.path)/busybox", folder: folder.path, modules: ["b-x.ko"])
        let text = String(decoding: archive, as: UTF8.self)
        #expect(text.contains("bin/busybox\0\0\0BUSY"))
        #expect(text.contains("modules/b_x.ko\0\0\0\0BBBB"))
        #expect(text.contains("modules/order\0b_x.ko\n"))
        #expect(text.contains(GuestScripts.initramfs))
    }

    @Test(arguments: [("xz", ".xz"), ("gzip", ".gz"), ("zstd", ".zst")])
    func compressedModulesAreUnpacked(tool: String, suffix: String) throws {
        guard let program = Files.program(tool) else {
            Issue.record("needs \(tool)")
            return
        }
        let folder = try TemporaryDirectory(prefix: "initramfs-test-")
        let plain = "\(folder.path)/m.ko"
        try Files.replace(plain, with: Array("plain module".utf8))
        try Files.replace("\(folder.path)/busybox", with: [])
        #expect(try ChildProcess.run(program, ["-k", plain]).end == .exited(0))
        let archive = try Initramfs.build(
            busybox: "\(folder.path)/busybox", folder: folder.path, modules: ["m.ko" + suffix])
        #expect(String(decoding: archive, as: UTF8.self).contains("plain module"))
    }

    @Test func damagedModuleIsSaid() throws {
        let folder = try TemporaryDirectory(prefix: "initramfs-test-")
        try Files.replace("\(folder.path)/m.ko.xz", with: Array("nonsense".utf8))
        try Files.replace("\(folder.path)/busybox", with: [])
        let error = #expect(throws: StartupError.self) {
            try Initramfs.build(busybox: "\(folder.path)/busybox", folder: folder.path, modules: ["m.ko.xz"])
        }
        #expect(error?.reason == "xz failed")
    }

    @Test func quoting() {
        #expect(GuestScripts.quoted("it's") == "'it'\\''s'")
        #expect(GuestScripts.quoted("") == "''")
        #expect(GuestCommand(arguments: ["echo", "a b"]).script == "exec 'echo' 'a b'")
    }
}
