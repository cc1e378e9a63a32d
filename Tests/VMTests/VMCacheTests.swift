// SPDX-License-Identifier: Apache-2.0
import Guest
import HostOS
import Testing

/// When a guest sees what the host changes, under each cache mode.
@Suite(.serialized) struct VMCacheTests {
    private struct View {
        let guest: GuestMachine
        let tag: String
        let scratch: ScratchDirectory

        /// What a command of busybox prints in the share's directory; its error if it fails.
        func now(_ command: String) throws -> String {
            var shell = GuestCommand("cd /mnt/\(tag) && \(command) 2>&1")
            shell.timeoutMilliseconds = 60_000
            return try guest.execute(shell).text.split(separator: "\n").joined(separator: " ")
        }

        /// Asks again in the guest until `command` prints `wanted`, for at most 20 s.
        func soon(_ command: String, _ wanted: String, _ location: SourceLocation = #_sourceLocation) throws {
            let loop = """
                i=0; while [ "$(\(command) 2>/dev/null)" != \(GuestScripts.quoted(wanted)) ]; do
                i=$((i + 1)); if [ $i -gt 100 ]; then break; fi; sleep 0.2; done; \(command)
                """
            #expect(try now(loop) == wanted, "\(tag): \(command)", sourceLocation: location)
        }
    }

    @Test(.enabled(if: requirementsMet("VMCache", .qemu)))
    func hostChangesShowAsEachModePromises() throws {
        let modes = ["never", "auto", "metadata", "always"]
        let scratches = try modes.map { _ in try ScratchDirectory() }
        let daemons = try zip(modes, scratches).map { mode, scratch in
            for name in ["same", "longer", "replaced", "removed"] { try scratch.write(name, "old") }
            return try TestShare(mode, scratch.path, cache: mode).serve()
        }
        var configuration = GuestConfiguration()
        configuration.shares = daemons.map(\.share)
        let guest = try GuestMachine(booting: configuration)
        let views = zip(modes, scratches).map { View(guest: guest, tag: $0, scratch: $1) }
        for view in views {
            #expect(try view.now("cat same longer replaced removed") == "oldoldoldold")
            #expect(try view.now("cat absent").contains("No such file"))
            try view.scratch.overwrite("same", "new")
            try view.scratch.overwrite("longer", "new and longer")
            try view.scratch.write("replaced", "another file")
            try #require(try ChildProcess.run("/bin/rm", ["\(view.scratch.path)/removed"]).end == .exited(0))
            try view.scratch.write("absent", "here now")
            try view.scratch.write("never asked for", "fresh")
        }
        try expectNow(views[0])
        try expectSoon(views[1])
        // Names and attributes are kept for a day, data is not.
        #expect(try views[2].now("cat same") == "new")
        #expect(try views[2].now("stat -c %s removed") == "3")
        #expect(try views[2].now("cat 'never asked for'") == "fresh")
        // Everything is kept.
        #expect(try views[3].now("cat same") == "old")
        #expect(try views[3].now("cat longer") == "old")
        #expect(try views[3].now("stat -c %s removed") == "3")
        #expect(try views[3].now("cat 'never asked for'") == "fresh")
        guest.shutDown()
    }

    private func expectNow(_ view: View) throws {
        #expect(try view.now("cat same") == "new")
        #expect(try view.now("cat longer") == "new and longer")
        #expect(try view.now("stat -c %s longer") == "14")
        #expect(try view.now("cat replaced") == "another file")
        #expect(try view.now("cat removed").contains("No such file"))
        #expect(try view.now("cat absent") == "here now")
        #expect(try view.now("ls") == "absent longer never asked for replaced same")
    }

    private func expectSoon(_ view: View) throws {
        try view.soon("cat same", "new")
        try view.soon("cat longer", "new and longer")
        try view.soon("cat replaced", "another file")
        try view.soon("cat removed || echo gone", "gone")
        try view.soon("cat absent", "here now")
        #expect(try view.now("ls") == "absent longer never asked for replaced same")
    }
}
