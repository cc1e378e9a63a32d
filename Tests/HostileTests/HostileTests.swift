// SPDX-License-Identifier: Apache-2.0
import Guest
import Testing

/// T1 to T20: what others have let a guest or a stranger do, tried on our daemon as it is built, behind each wall.
@Suite(
    .serialized,
    .enabled(if: requirementsMet("HostileTests", .root), "needs root: device nodes, owners and groups"))
struct HostileTests {
    private func run(_ attack: HostileCase, _ opponent: Opponent) {
        let verdict = attack.run(opponent)
        for failure in verdict.failures { Issue.record("\(attack.title): \(failure)") }
    }

    @Test(arguments: Opponent.ours) func T01_handles(_ opponent: Opponent) { run(.t01, opponent) }
    @Test(arguments: Opponent.ours) func T02_specialFiles(_ opponent: Opponent) { run(.t02, opponent) }
    @Test(arguments: Opponent.ours) func T03_fileCapabilities(_ opponent: Opponent) { run(.t03, opponent) }
    @Test(arguments: Opponent.ours) func T04_groups(_ opponent: Opponent) { run(.t04, opponent) }
    @Test(arguments: Opponent.ours) func T05_messages(_ opponent: Opponent) { run(.t05, opponent) }
    @Test(arguments: Opponent.ours) func T06_names(_ opponent: Opponent) { run(.t06, opponent) }
    @Test(arguments: Opponent.ours) func T07_labels(_ opponent: Opponent) { run(.t07, opponent) }
    @Test(arguments: Opponent.ours) func T08_bytes(_ opponent: Opponent) { run(.t08, opponent) }
    @Test(arguments: Opponent.ours) func T09_malformedRequests(_ opponent: Opponent) { run(.t09, opponent) }
    @Test(arguments: Opponent.ours) func T10_directIO(_ opponent: Opponent) { run(.t10, opponent) }
    @Test(arguments: Opponent.ours) func T11_writeback(_ opponent: Opponent) { run(.t11, opponent) }
    @Test(arguments: Opponent.ours) func T12_contradictingOptions(_ opponent: Opponent) {
        run(.t12, opponent)
    }
    @Test(arguments: Opponent.ours) func T13_readOnly(_ opponent: Opponent) { run(.t13, opponent) }
    @Test(arguments: Opponent.ours) func T14_hostileTree(_ opponent: Opponent) { run(.t14, opponent) }
    @Test(arguments: Opponent.ours) func T15_concurrency(_ opponent: Opponent) { run(.t15, opponent) }
    @Test(arguments: Opponent.ours) func T16_setIDBits(_ opponent: Opponent) { run(.t16, opponent) }
    @Test(arguments: Opponent.ours) func T17_rings(_ opponent: Opponent) { run(.t17, opponent) }
    @Test(arguments: Opponent.ours) func T18_replies(_ opponent: Opponent) { run(.t18, opponent) }
    @Test(arguments: Opponent.ours) func T19_lockWaits(_ opponent: Opponent) { run(.t19, opponent) }
    @Test(arguments: Opponent.ours) func T20_forgedIdentifiers(_ opponent: Opponent) { run(.t20, opponent) }
    @Test(arguments: Opponent.ours) func fileSizeLimit(_ opponent: Opponent) { run(.fileSizeLimit, opponent) }
}
