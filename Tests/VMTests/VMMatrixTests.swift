// SPDX-License-Identifier: Apache-2.0
import Guest
import Testing

/// Every machine with one and with four request queues does the core of what a guest does.
@Suite struct VMMatrixTests {
    private func check(_ stack: Stack, requestQueues: Int) throws {
        let scratch = try ScratchDirectory()
        let share = TestShare("core", scratch.path, requestQueues: requestQueues, options: ["--xattr"])
        let guest = try TestGuest(stack, [share])
        try guest.run("core", in: "/mnt/core")
        try guest.expectSameOnBothSides(share)
        guest.end()
    }

    @Test(.enabled(if: requirementsMet("VMMatrix.stock", .qemu, .debianRoot)), arguments: [1, 4])
    func stock(requestQueues: Int) throws { try check(.stock, requestQueues: requestQueues) }

    @Test(.enabled(if: requirementsMet("VMMatrix.lab", .qemu, .lab, .debianRoot)), arguments: [1, 4])
    func lab(requestQueues: Int) throws { try check(.lab, requestQueues: requestQueues) }

    @Test(.enabled(if: requirementsMet("VMMatrix.uml", .uml, .debianRoot)), arguments: [1, 4])
    func uml(requestQueues: Int) throws { try check(.uml, requestQueues: requestQueues) }
}
