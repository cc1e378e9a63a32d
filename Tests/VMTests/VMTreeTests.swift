// SPDX-License-Identifier: Apache-2.0
import Guest
import Testing

/// 5,000 files of every kind are copied, packed, moved, unpacked and deleted; nothing of them changes on the way.
@Suite(.serialized) struct VMTreeTests {
    private func check(_ stack: Stack, requestQueues: Int) throws {
        let scratch = try ScratchDirectory()
        let share = TestShare(
            "tree", scratch.path, requestQueues: requestQueues, options: ["--xattr", "--posix-acl"])
        _ = try Scenario("tree").runOnHost(scratch.path, ["make"])
        let guest = try TestGuest(stack, [share])
        try guest.run("tree", in: "/mnt/tree", ["work"])
        let wanted = (try Scenario.manifest().runOnHost("\(scratch.path)/source"), "the source")
        #expect(wanted.0.split(separator: "\n").count == 5000)
        for copy in ["copied/below/moved", "packed/source"] {
            expectSame((try Scenario.manifest().runOnHost("\(scratch.path)/\(copy)"), copy), wanted, "a tree")
        }
        try guest.expectSameOnBothSides(share, "packed")
        try guest.run("tree", in: "/mnt/tree", ["delete"])
        #expect(
            !scratch.has("source") && !scratch.has("copied") && !scratch.has("packed")
                && scratch.has("deleted"))
        guest.end()
    }

    /// UML, because it takes a third of the time of QEMU without KVM.
    @Test(.enabled(if: requirementsMet("VMTree.uml", .uml, .debianRoot, .root)))
    func uml() throws { try check(.uml, requestQueues: 4) }
}
