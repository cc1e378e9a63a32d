// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import HostFS
import HostOS
import Sandbox
import StateArena
import VhostUser

/// Starts the daemon and serves until it is told to end. The order matters; see ARCHITECTURE.md, "Start order".
func serve(_ options: DaemonOptions) throws(StartupError) {
    installLog(level: options.logLevel, toSyslog: options.syslog)
    for warning in options.warnings { Log.warning(warning) }
    ignoreBrokenPipes()
    try doing("give up", "new privileges") { () throws(Errno) in try forbidNewPrivileges() }
    let watch = try doing("watch for", "signals") { () throws(Errno) in try ShutdownWatch() }
    try applyDescriptorBudget(options.descriptorBudget)

    let arena = try doing("make", "the table of what the guest knows") { () throws(Errno) in try StateArena()
    }
    let share = try openShare(options.share, arena)
    // Each thread inherits what this one has left.
    try giveUpCapabilities(options, share)
    let device = try doing("start", "the queues' threads") { () throws(Errno) in
        try Device(
            configuration: DeviceConfiguration(
                tag: options.tag, requestQueueCount: options.numRequestQueues,
                waitingThreadCount: options.waitingThreads),
            share: share, arena: arena, polling: options.polling)
    }
    // Last: whoever sees the socket may connect to it.
    let listener =
        switch options.socket {
        case .path(let path, let group): try Listener(path: path, group: group)
        case .listening(let descriptor): try Listener(inherited: descriptor)
        }
    let daemon = Daemon(listener: listener, device: device, once: options.once, stopEvent: watch.stopEvent)
    // Kata's runtime-rs starts the VM when it reads these words.
    Log.info("Waiting for vhost-user socket connection...")
    try doing("watch for", "signals") { () throws(Errno) in try watch.whileRunning { daemon.run() } }
}

private func giveUpCapabilities(_ options: DaemonOptions, _ share: Share) throws(StartupError) {
    let cut = try cutCapabilities(
        to: share.usesFileHandles ? [.ofShare, .fileHandles] : .ofShare, options.capabilities)
    if let remark = cut.remark { Log.warning(remark) }
    Log.debug("capabilities: \(cut.kept)")
}

private func openShare(_ options: ShareOptions, _ arena: StateArena) throws(StartupError) -> Share {
    do {
        return try Share(options, arena: arena)
    } catch let error as StartupError {
        throw error
    } catch let error as Errno {
        throw StartupError(
            operation: "share", subject: escaped(options.sharedDirectory), reason: describe(error))
    } catch {
        throw StartupError(operation: "share", subject: escaped(options.sharedDirectory), reason: "\(error)")
    }
}

/// Names what failed: an errno alone tells a person nothing.
private func doing<Result>(_ operation: String, _ subject: String, _ step: () throws(Errno) -> Result)
    throws(StartupError)
    -> Result
{
    do throws(Errno) {
        return try step()
    } catch {
        throw StartupError(operation: operation, subject: subject, reason: describe(error))
    }
}
