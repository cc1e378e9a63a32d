// SPDX-License-Identifier: Apache-2.0
import Guest
import Testing

/// The scenarios on a directory of the host itself: a failure here is one of the scenario, not of a daemon.
@Suite(.serialized) struct VMScenarioTests {
    @Test(
        .enabled(if: requirementsMet("VMScenario.local", .debianRoot, .root)),
        arguments: [
            ("core", []), ("files", ["local"]), ("names", ["privileged"]), ("users", ["acl", "privileged"]),
            ("programs", []),
        ])
    func onALocalDirectory(name: String, words: [String]) throws {
        let scratch = try ScratchDirectory()
        for failure in Scenario.failures(in: try Scenario(name).runOnHost(scratch.path, words)) {
            Issue.record("\(name).\(failure.check):\(failure.why)")
        }
    }

    @Test func resultsAreRead() {
        let failures = Scenario.failures(in: "pass one 0.1\nfail two\n  because\n  of\npass three 0.2\n")
        #expect(failures.map(\.check) == ["two"] && failures.map(\.why) == ["\n  because\n  of"])
        #expect(Scenario.failures(in: "python3: not found").map(\.why) == ["python3: not found"])
    }
}
