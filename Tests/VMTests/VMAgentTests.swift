// SPDX-License-Identifier: Apache-2.0
import Glibc
import Guest
import HostOS
import Testing

/// What a guest with the agent sees and hears of what the host does, while it caches all that it has seen for a day.
@Suite(.serialized) struct VMAgentTests {
    /// One change of the host.
    private struct Edit {
        let name: String
        /// sh code in the share.
        let code: String
        /// KIND DIRECTORY/NAME, in the order in which they come.
        let events: [String]
        /// What the guest is asked before and after, and what it answers.
        let views: [(question: String, before: String, after: String)]
    }

    private static let missing = "No such file or directory"

    private static let edits = [
        Edit(
            name: "write", code: "printf new >d/f", events: ["MODIFY d/f", "CLOSE_WRITE d/f"],
            views: [("cat d/f", "old", "new")]),
        Edit(
            name: "write in place", code: "printf now | dd of=d/f conv=notrunc status=none",
            events: ["MODIFY d/f", "CLOSE_WRITE d/f"], views: [("cat d/f", "new", "now")]),
        Edit(
            name: "append", code: "printf ' end' >>d/f", events: ["MODIFY d/f", "CLOSE_WRITE d/f"],
            views: [("cat d/f", "now", "now end"), ("stat d/f", "100644 1 3", "100644 1 7")]),
        Edit(
            name: "truncate", code: "truncate -s 2 d/f", events: ["MODIFY d/f"],
            views: [("cat d/f", "now end", "no"), ("stat d/f", "100644 1 7", "100644 1 2")]),
        Edit(
            name: "atomic replacement", code: "printf whole >d/.f.tmp; mv d/.f.tmp d/f",
            events: ["MOVED_FROM d/.f.tmp", "MOVED_TO d/f"],
            views: [("cat d/f", "no", "whole"), ("stat d/.f.tmp", missing, missing)]),
        Edit(
            name: "create", code: "printf c >d/created",
            events: ["CREATE d/created", "CLOSE_WRITE d/created"],
            views: [("cat d/created", missing, "c"), ("ls d", "dir f gone link", "created dir f gone link")]),
        Edit(
            name: "mkdir", code: "mkdir d/made", events: ["CREATE d/made"],
            views: [
                ("stat d/made", missing, "40755 2 0"),
                ("ls d", "created dir f gone link", "created dir f gone link made"),
            ]),
        Edit(
            name: "delete", code: "rm d/gone", events: ["DELETE d/gone"],
            views: [
                ("cat d/gone", "gone", missing),
                ("ls d", "created dir f gone link made", "created dir f link made"),
            ]),
        Edit(
            name: "rmdir", code: "rmdir d/made", events: ["DELETE d/made"],
            views: [
                ("stat d/made", "40755 2 0", missing),
                ("ls d", "created dir f link made", "created dir f link"),
            ]),
        Edit(
            name: "rename", code: "mv d/created d/named",
            events: ["MOVED_FROM d/created", "MOVED_TO d/named"],
            views: [("cat d/created", "c", missing), ("cat d/named", missing, "c")]),
        Edit(
            name: "rename between directories", code: "mv d/named e/named",
            events: ["MOVED_FROM d/named", "MOVED_TO e/named"],
            views: [("cat d/named", "c", missing), ("cat e/named", missing, "c"), ("ls e", "", "named")]),
        Edit(
            name: "chmod", code: "chmod 600 d/f", events: ["ATTRIB d/f"],
            views: [("stat d/f", "100644 1 5", "100600 1 5")]),
        Edit(
            name: "symlink", code: "ln -s f d/symbolic", events: ["CREATE d/symbolic"],
            views: [("stat d/symbolic", missing, "120777 1 1"), ("cat d/symbolic", missing, "whole")]),
        Edit(
            name: "hard link", code: "ln d/f d/hard", events: ["CREATE d/hard"],
            views: [("stat d/hard", missing, "100600 2 5"), ("stat d/f", "100600 1 5", "100600 2 5")]),
        Edit(
            name: "one link less", code: "rm d/link", events: ["DELETE d/link"],
            views: [
                ("stat d/link", "100644 2 4", missing), ("stat e/.other", "100644 2 4", "100644 1 4"),
                ("cat e/.other", "link", "link"),
            ]),
    ]

    @Test(
        .enabled(if: requirementsMet("VMAgent.edits", .qemu, .lab, .debianRoot, .agent, .root)),
        arguments: [Stack.stock, .lab])
    func seesAndHearsAnEdit(_ stack: Stack) throws {
        let rig = try AgentRig(stack) { scratch in
            let code = """
                mkdir -p d/dir/sub e
                printf old >d/f; printf gone >d/gone; printf link >d/link; ln d/link e/.other
                """
            try #require(
                try ChildProcess.run("/bin/sh", ["-ec", "cd \(scratch.path); \(code)"]).end == .exited(0))
        }
        let watcher = try GuestWatcher(rig.guest)
        func now(_ question: String) throws -> String {
            let words = question.split(separator: " ")
            let answer = try watcher.ask("\(words[0]) \(rig.path(String(words[1])))")
            // What a directory's size is the host's file system says.
            guard answer.hasPrefix("40755 ") else { return answer }
            return answer.split(separator: " ").prefix(2).joined(separator: " ") + " 0"
        }
        for directory in ["d", "e", "d/dir"] { try watcher.ask("watch \(rig.path(directory))") }
        for edit in Self.edits {
            for view in edit.views {
                let hidden = try now(view.question).replacing(" .other", with: "").replacing(
                    ".other", with: "")
                #expect(hidden == view.before, "\(edit.name): \(view.question), before")
            }
            try rig.host(edit.code)
            for event in edit.events {
                let words = event.split(separator: " ").map(String.init)
                let place = words[1].split(separator: "/").map(String.init)
                try watcher.await(words[0], place[1], in: rig.path(place[0]))
            }
            for view in edit.views {
                let hidden = try now(view.question).replacing(".other ", with: "")
                #expect(hidden == view.after, "\(edit.name): \(view.question), after")
            }
        }
        try moveDirectoryInUse(rig, watcher)
        // A watched directory whose name the kernel has no more.
        try watcher.ask("forget")
        try rig.host("printf z >d/late; rm e/named")
        try watcher.await("CREATE", "late", in: rig.path("d"))
        try watcher.await("DELETE", "named", in: rig.path("e"))
        #expect(try watcher.ask("cat \(rig.path("d/late"))") == "z")
        watcher.end()
        try rig.guest.expectSameOnBothSides(rig.share)
        rig.guest.end()
    }

    /// A process works in it, and another directory is watched below.
    private func moveDirectoryInUse(_ rig: AgentRig, _ watcher: GuestWatcher) throws {
        let process = try watcher.ask("work \(rig.path("d/dir/sub"))")
        try watcher.ask("watch \(rig.path("d/dir/sub"))")
        try rig.host("mv d/dir e/moved")
        try watcher.await("MOVED_FROM", "dir", in: rig.path("d"))
        try watcher.await("MOVED_TO", "moved", in: rig.path("e"))
        #expect(try watcher.ask("link /proc/\(process)/cwd") == rig.path("e/moved/sub"))
        #expect(try watcher.ask("stat \(rig.path("d/dir"))") == Self.missing)
        try rig.host("printf x >e/moved/sub/inside")
        try watcher.await("CREATE", "inside", in: rig.path("d/dir/sub"))
        #expect(try watcher.ask("cat /proc/\(process)/cwd/inside") == "x")
        // Out of sight and back, it is alive.
        let outside = GuestScripts.quoted(rig.scratch.path + ".outside")
        try rig.host("mv e/moved \(outside)")
        try watcher.await("DELETE", "moved", in: rig.path("e"))
        try rig.host("mv \(outside) e/back")
        try watcher.await("CREATE", "back", in: rig.path("e"))
        #expect(try watcher.ask("cat \(rig.path("e/back/sub/inside"))") == "x")
        try rig.host("printf w >e/back/direct; printf y >e/back/sub/more")
        try watcher.await("CREATE", "direct", in: rig.path("d/dir"))
        try watcher.await("CREATE", "more", in: rig.path("d/dir/sub"))
        #expect(try watcher.ask("cat /proc/\(process)/cwd/more") == "y")
        try watcher.ask("rest")
    }

    /// From before the host's write until the line of the guest's program about it is here: the host's kernel and watcher, the
    /// daemon's answer, the agent's calls, a Python program in the guest, and the console on which it answers.
    @Test(
        .enabled(if: requirementsMet("VMAgent.latency", .qemu, .lab, .debianRoot, .agent, .root)),
        arguments: [Stack.stock, .lab])
    func everyEditIsHeard(_ stack: Stack) throws {
        let rig = try AgentRig(stack) { try $0.write("f", "old") }
        let watcher = try GuestWatcher(rig.guest)
        try watcher.ask("watch \(AgentRig.mounted)")
        var latencies: [Double] = []
        for number in 1...60 {
            // The list's READ is sometimes fresh and sometimes old.
            usleep(UInt32(20_000 + number * 7919 % 100_000))
            let began = monotonicNanoseconds()
            try rig.scratch.overwrite("f", "edit \(number)")
            let event: GuestWatcher.Event
            do { event = try watcher.await("MODIFY", "f", in: AgentRig.mounted) } catch {
                Issue.record("edit \(number): \(error)\n\(rig.said)")
                return
            }
            latencies.append(Double(event.arrival - began) / 1e6)
            #expect(try watcher.ask("cat \(rig.path("f"))") == "edit \(number)")
            watcher.forgetEvents()
        }
        latencies.sort()
        func at(_ part: Double) -> String {
            "\((latencies[Int(part * Double(latencies.count - 1))] * 10).rounded() / 10)"
        }
        let line =
            "agent latency, \(stack.rawValue): median \(at(0.5)) ms, 90 % within \(at(0.9)) ms, all within \(at(1)) ms\n"
        _ = try? Files.writeAll(STDERR_FILENO, Array(line.utf8))
        #expect(latencies.count == 60)
        usleep(300_000)
        // The agent reads the list all the time.
        #expect(try watcher.ask("listen \(AgentRig.mounted) 1.5") == "nothing")
        watcher.end()
        rig.guest.end()
    }
}
