// SPDX-License-Identifier: Apache-2.0
import Backend
import HostFS
import HostOS
import Sandbox

/// Everything the command line says, checked.
package struct DaemonOptions: Sendable {
    enum Socket: Sendable, Equatable {
        /// Make a socket here; `group` may connect too.
        case path(String, group: String?)
        /// An inherited descriptor that listens already.
        case listening(Int32)
    }

    /// `--rlimit-nofile`.
    enum DescriptorBudget: Sendable, Equatable {
        case automatic, unchanged
        case exactly(UInt64)
    }

    /// `--sandbox`.
    enum Sandbox: Sendable, Equatable {
        /// `user`: for whoever is not root.
        case namespace(user: UserNamespace?)
        case chroot, none
    }

    var share: ShareOptions
    var sandbox: Sandbox
    var socket: Socket
    var tag: [UInt8]?
    var numRequestQueues: Int
    /// `--thread-pool-size`.
    var waitingThreads: Int
    /// `--limit-in-flight`, `--limit-bytes-per-second`, `--limit-requests-per-second`.
    var requestLimits: RequestLimits
    /// nil: no DAX window.
    var window: WindowSettings?
    /// nil: no version table.
    var table: TableSettings?
    /// `--poll-us`.
    var polling: PollingOptions
    var once: Bool
    var descriptorBudget: DescriptorBudget
    /// `--modcaps`.
    var capabilities: CapabilityChanges
    /// `--seccomp`.
    var seccomp: FilterAction
    var logLevel: LogLevel
    var syslog: Bool
    /// What the user should know although the daemon starts: one line each.
    var warnings: [String]
}
