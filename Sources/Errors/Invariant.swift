// SPDX-License-Identifier: Apache-2.0

/// Ends the process with `message` when `condition` is false: a bug of ours, never something a guest can cause.
///
/// `precondition` loses its text in release builds; `fatalError` keeps it.
public func invariant(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError("invariant broken: " + message()) }
}
