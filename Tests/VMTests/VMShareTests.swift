// SPDX-License-Identifier: Apache-2.0
import Guest
import HostOS
import Testing

/// What programs and users do on a share, under the options that change it; all shares of a stack in one guest.
@Suite(.serialized) struct VMShareTests {
    private func check(_ stack: Stack, requestQueues: Int) throws {
        let scratch = try ["plain", "acl", "never", "always", "metadata", "writeback", "readonly"].map {
            ($0, try ScratchDirectory())
        }
        let directories = Dictionary(uniqueKeysWithValues: scratch)
        func share(_ tag: String, cache: String? = nil, readOnly: Bool = false, _ options: [String]) throws
            -> TestShare
        {
            let directory = try #require(directories[tag]).path
            return TestShare(
                tag, directory, cache: cache, requestQueues: requestQueues, readOnly: readOnly,
                options: options)
        }
        let plain = try share("plain", ["--xattr"])
        let acl = try share("acl", ["--xattr", "--posix-acl"])
        let never = try share("never", cache: "never", ["--xattr", "--allow-direct-io"])
        let always = try share("always", cache: "always", ["--xattr"])
        let metadata = try share("metadata", cache: "metadata", ["--xattr"])
        let writeback = try share("writeback", ["--xattr", "--writeback"])
        let readOnly = try share("readonly", readOnly: true, ["--xattr"])
        try fillReadOnly(readOnly.directory)

        let guest = try TestGuest(stack, [plain, acl, never, always, metadata, writeback, readOnly])
        try guest.run("files", in: "/mnt/plain")
        try guest.run("names", in: "/mnt/plain")
        try guest.run("users", in: "/mnt/plain")
        try guest.run("programs", in: "/mnt/plain")
        try guest.run("users", in: "/mnt/acl", ["acl"])
        try guest.run("files", in: "/mnt/never", ["no-mapping"])
        try guest.run("names", in: "/mnt/always")
        try guest.run("files", in: "/mnt/always")
        try guest.run("core", in: "/mnt/metadata", ["no-mapping"])
        try guest.run("files", in: "/mnt/writeback")
        try guest.run("readonly", in: "/mnt/readonly", ["in-place"])
        for share in [plain, acl, never, always, metadata, writeback, readOnly] {
            try guest.expectSameOnBothSides(share)
        }
        guest.end()
    }

    private func fillReadOnly(_ directory: String) throws {
        let script = """
            cd "$0" && printf 'of the host' >file && mkdir directory && ln -s file link && setfattr -n user.x -v 1 file
            """
        let result = try ChildProcess.run("/bin/sh", ["-ec", script, directory])
        try #require(result.end == .exited(0), "\(String(decoding: result.errors, as: UTF8.self))")
    }

    @Test(.enabled(if: requirementsMet("VMShare.stock", .qemu, .debianRoot, .root)))
    func stock() throws { try check(.stock, requestQueues: 1) }

    @Test(.enabled(if: requirementsMet("VMShare.lab", .qemu, .lab, .debianRoot, .root)))
    func lab() throws { try check(.lab, requestQueues: 4) }
}
