// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS

/// What RLIMIT_NOFILE becomes, and what to say about it.
struct DescriptorPlan: Equatable {
    /// nil: leave it alone.
    var limit: DescriptorLimit?
    var remark: String?

    /// The most that `--rlimit-nofile` takes when it is not given.
    static let ceiling: UInt64 = 1_000_000

    /// The usual soft limit, below which the default does not go.
    static let floor: UInt64 = 1024

    /// How many descriptors are left to the rest of the host: a daemon that may take all of fs.file-max lets one guest
    /// stop every process (CVE-2020-10717).
    static let hostReserve: UInt64 = 16384

    /// Decides without touching anything.
    ///
    /// - Parameters:
    ///   - now: the limit as it is.
    ///   - perProcess: fs.nr_open, above which no limit can be set; nil if unknown.
    ///   - hostWide: fs.file-max; nil if unknown.
    init(
        _ budget: DaemonOptions.DescriptorBudget, now: DescriptorLimit, perProcess: UInt64?, hostWide: UInt64?
    ) {
        let spare = hostWide.map { $0 - min(Self.hostReserve, $0 / 2) } ?? .max
        switch budget {
        case .unchanged: break
        case .automatic:
            let wanted = max(min(Self.ceiling, perProcess ?? Self.ceiling, spare), min(now.soft, Self.floor))
            limit = DescriptorLimit(soft: wanted, hard: max(wanted, now.hard))
        case .exactly(let wanted):
            let granted = min(wanted, spare)
            limit = DescriptorLimit(soft: granted, hard: granted)
            if granted < wanted {
                remark =
                    "--rlimit-nofile \(wanted) is more than this host has to spare (fs.file-max): using \(granted)"
            }
        }
    }
}

/// Sets RLIMIT_NOFILE as `budget` says.
///
/// - Throws: when a number was asked for and the host refuses it.
func applyDescriptorBudget(_ budget: DaemonOptions.DescriptorBudget) throws(StartupError) {
    let subject = "RLIMIT_NOFILE (--rlimit-nofile)"
    let hint = "give a number up to fs.nr_open, start with a higher hard limit, or give 0 to leave it alone"
    do throws(Errno) {
        let now = try DescriptorLimit.current()
        let plan = DescriptorPlan(
            budget, now: now, perProcess: readKernelNumber("/proc/sys/fs/nr_open"),
            hostWide: readKernelNumber("/proc/sys/fs/file-max"))
        if let remark = plan.remark { Log.warning(remark) }
        guard let limit = plan.limit else { return }
        do throws(Errno) {
            try limit.apply()
        } catch {
            guard budget == .automatic else { throw error }
            try DescriptorLimit(soft: now.hard, hard: now.hard).apply()
            Log.info("the limit of open files is \(now.hard): this user may not raise it")
        }
    } catch {
        throw StartupError(operation: "set", subject: subject, reason: describe(error), hint: hint)
    }
}
