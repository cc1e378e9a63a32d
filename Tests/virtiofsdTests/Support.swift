// SPDX-License-Identifier: Apache-2.0
import Errors
import Testing

@testable import virtiofsd

/// Reads a command line that must lead to serving.
func options(_ words: [String], cpus: Int = 4, user: DaemonUser = .root) throws -> DaemonOptions {
    let request = try readCommandLine(words.map { Array($0.utf8) }, cpus: cpus, user: user)
    guard case .serve(let options) = request else { throw Unexpected(request: request) }
    return options
}

/// The smallest complete command line with `more` behind it.
func options(with more: String...) throws -> DaemonOptions {
    try options(["--shared-dir", "/srv", "--socket-path", "/run/s"] + more)
}

/// The one line a command line is refused with; nil if it is accepted.
func refusal(_ words: [String], user: DaemonUser = .root) -> String? {
    do throws(StartupError) {
        _ = try readCommandLine(words.map { Array($0.utf8) }, cpus: 4, user: user)
        return nil
    } catch {
        return error.description
    }
}

func refusal(with more: String...) -> String? {
    refusal(["--shared-dir", "/srv", "--socket-path", "/run/s"] + more)
}

extension DaemonUser {
    static let root = DaemonUser(uid: 0, gid: 0)
    static let ordinary = DaemonUser(uid: 1000, gid: 100)
}

struct Unexpected: Error { let request: Request }
