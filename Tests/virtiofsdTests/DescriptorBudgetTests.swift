// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import Testing

@testable import virtiofsd

@Suite struct DescriptorBudgetTests {
    private let now = DescriptorLimit(soft: 1024, hard: 524_288)

    private func plan(
        _ budget: DaemonOptions.DescriptorBudget, perProcess: UInt64? = 1_048_576, hostWide: UInt64? = .max
    ) -> DescriptorPlan {
        DescriptorPlan(budget, now: now, perProcess: perProcess, hostWide: hostWide)
    }

    @Test func zeroLeavesTheLimitAlone() {
        #expect(plan(.unchanged).limit == nil)
        #expect(plan(.unchanged).remark == nil)
    }

    @Test func theDefaultIsAMillionWithinWhatTheHostAllows() {
        #expect(plan(.automatic).limit == DescriptorLimit(soft: 1_000_000, hard: 1_000_000))
        #expect(plan(.automatic, perProcess: 4096).limit == DescriptorLimit(soft: 4096, hard: 524_288))
        #expect(plan(.automatic, perProcess: nil, hostWide: nil).limit?.soft == 1_000_000)
        #expect(plan(.automatic, hostWide: 100_000).limit?.soft == 100_000 - 16384)
        #expect(plan(.automatic, hostWide: 10000).limit?.soft == 5000)
        #expect(plan(.automatic, hostWide: 0).limit?.soft == 1024)
    }

    @Test func anExplicitNumberIsTakenAsItIs() {
        #expect(plan(.exactly(4096)).limit == DescriptorLimit(soft: 4096, hard: 4096))
        // The kernel refuses it: above fs.nr_open
        #expect(plan(.exactly(2_000_000)).limit?.soft == 2_000_000)
        #expect(plan(.exactly(4096)).remark == nil)
    }

    @Test func theHostKeepsItsReserveAndTheUserIsTold() {
        let lowered = plan(.exactly(1_048_576), hostWide: 500_000)
        #expect(lowered.limit?.soft == 483_616)
        #expect(
            lowered.remark
                == "--rlimit-nofile 1048576 is more than this host has to spare (fs.file-max): using 483616")
    }

    @Test func aNumberThatCannotBeSetIsFatal() {
        let error = #expect(throws: StartupError.self) {
            try applyDescriptorBudget(.exactly(UInt64(Int64.max)))
        }
        #expect(
            error?.description.hasPrefix(
                "cannot set RLIMIT_NOFILE (--rlimit-nofile): Operation not permitted; give a number")
                == true)
    }
}
