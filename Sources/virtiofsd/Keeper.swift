// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Sandbox
import VhostUser

/// The process outside, with a socket of its own: lets it appear when the server can answer, and removes it at the end.
///
/// - Returns: the exit status.
func keep(
    _ outside: Outside, _ place: SocketPlace, _ socket: consuming OwnedDescriptor
) throws(StartupError) -> Int32 {
    try outside.awaitReady()
    let file = try place.publish(socket)
    // The server has it too; without it here nobody waits in vain for one that has died.
    _ = consume socket
    defer { file.remove() }
    // Root may not be the owner of the socket's directory.
    try lockDown(keeping: .removeAnyName)
    outside.confirm()
    return outside.awaitEndAndTell()
}

/// The same with an inherited socket, whose name is its maker's.
func keep(_ outside: Outside, _ inherited: Int32) throws(StartupError) -> Int32 {
    _ = close(inherited)
    try outside.awaitReady()
    try lockDown(keeping: [])
    outside.confirm()
    return outside.awaitEndAndTell()
}

/// A process that only waits needs next to nothing.
private func lockDown(keeping needed: CapabilitySet) throws(StartupError) {
    do throws(Errno) {
        try forbidNewPrivileges()
        try forbidInspection()
    } catch {
        throw StartupError(operation: "give up", subject: "new privileges", reason: describe(error))
    }
    // What it has to say the server says as well.
    _ = try cutCapabilities(to: needed, CapabilityChanges())
}

extension Outside {
    fileprivate func awaitEndAndTell() -> Int32 {
        let end = awaitEnd()
        if case .killed(let signal) = end {
            Log.error("the process that serves died of \(signalName(signal))")
        }
        return end.status
    }
}
