// SPDX-License-Identifier: Apache-2.0
import Coherence

/// Where events come from.
protocol HostSource: HandleResolver {
    /// Readable when there are some.
    var descriptor: Int32 { get }
    /// Whether events say whose they are.
    var knowsProcesses: Bool { get }
    /// Those that there are, or some of them.
    func take() throws(Refusal) -> [WatchEvent]
    /// Whether there is another mount below the shared directory than when this was made.
    func hasNewMount() -> Bool
}

/// Why something below the shared directory cannot be watched.
struct Refusal: Error {
    let subject: String
    let reason: String
}
