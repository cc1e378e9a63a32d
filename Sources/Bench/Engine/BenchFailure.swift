// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import HostOS
import VhostUser

/// Why a measurement ends before its time.
package enum BenchFailure: Error, Equatable, CustomStringConvertible {
    /// A signal asked for it.
    case stopped
    /// The daemon does not offer what the test needs.
    case unsupported(String)
    /// The daemon did something wrong, or cannot be reached.
    case failed(String)

    package var description: String {
        switch self {
        case .stopped: "interrupted"
        case .unsupported(let what): "the daemon does not offer \(what)"
        case .failed(let what): what
        }
    }

    /// The handshake went wrong.
    static func handshake(_ error: VhostUserError) -> BenchFailure {
        if case .system(let code) = error { return .failed("the connection: \(text(code))") }
        return .failed("the vhost-user handshake: \(error)")
    }

    /// The error with its number, as one knows it.
    static func text(_ error: Errno) -> String { "\(describe(error)) (error \(error.rawValue))" }
}
