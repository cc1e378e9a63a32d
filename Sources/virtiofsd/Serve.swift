// SPDX-License-Identifier: Apache-2.0
import Errors
import HostFS
import HostOS
import MappableFiles
import Sandbox
import VhostUser

/// Starts the daemon and serves until it is told to end. The order matters; see ARCHITECTURE.md, "Start order".
///
/// - Returns: the exit status.
func serve(_ options: DaemonOptions) throws(StartupError) -> Int32 {
    try prepareProcess(options)
    // It takes rights that end behind the walls.
    let mappable = startMappableFiles(options)
    let table = try options.table.map { settings throws(StartupError) in try TableUse(settings, options) }
    switch options.sandbox {
    case .none:
        try serveUnconfined(options, mappable, table)
        return 0
    case .chroot:
        return try serveDivided(options, behind: nil, in: nil, mappable, table)
    case .namespace(let user):
        return try serveDivided(options, behind: .all, in: user, mappable, table)
    }
}

/// What all processes of the daemon have in common, whatever the sandbox.
private func prepareProcess(_ options: DaemonOptions) throws(StartupError) {
    try closeInheritedDescriptors(keeping: options.socket.inherited)
    prepareClock()
    CapabilitySet.prepareNames()
    installLog(level: options.logLevel, toSyslog: options.syslog)
    for warning in options.warnings { Log.warning(warning) }
    ignoreBrokenPipes()
    ignoreFileSizeSignals()
    try doing("set", "RLIMIT_CORE") { () throws(Errno) in try forbidCoreDumps() }
    try applyDescriptorBudget(options.descriptorBudget)
}

/// `--sandbox none`: one process, which finds everything by path.
private func serveUnconfined(
    _ options: DaemonOptions, _ mappable: MappableFiles?, _ table: TableUse?
) throws(StartupError) {
    let root = try openRoot(options.share)
    let process = try OwnProcess(withTasks: options.share.needsTasks)
    table?.serveHere()
    switch options.socket {
    case .path(let path, let group):
        let place = try SocketPlace(path: path, group: group)
        let directory = try place.openDirectory()
        let server = try Server(
            options, root: root, process: process, mappable: mappable, table: table,
            sockets: directory.rawValue)
        // Last: whoever sees the socket may connect to it.
        try server.run(try Listener(at: place))
    case .listening(let descriptor):
        let server = try Server(options, root: root, process: process, mappable: mappable, table: table)
        try server.run(try Listener(inherited: descriptor))
    }
}

/// The other modes: one process serves, behind walls, and one keeps the socket's name, which lies outside of them.
private func serveDivided(
    _ options: DaemonOptions, behind walls: Walls?, in user: UserNamespace?, _ mappable: MappableFiles?,
    _ table: TableUse?
) throws(StartupError) -> Int32 {
    switch options.socket {
    case .path(let path, let group):
        let place = try SocketPlace(path: path, group: group)
        let socket = try place.makeSocket()
        switch try divide(behind: walls, in: user) {
        case .outside(let outside): return try keep(outside, place, socket)
        case .inside(let inside):
            try serve(inside, options, walls, Listener(adopting: socket), mappable, table)
        }
    case .listening(let descriptor):
        switch try divide(behind: walls, in: user) {
        case .outside(let outside): return try keep(outside, descriptor)
        case .inside(let inside):
            try serve(inside, options, walls, try Listener(inherited: descriptor), mappable, table)
        }
    }
    return 0
}

/// The process that serves.
private func serve(
    _ inside: Inside, _ options: DaemonOptions, _ walls: Walls?, _ listener: Listener,
    _ mappable: MappableFiles?, _ table: TableUse?
) throws(StartupError) {
    let root = try openRoot(options.share)
    let process = try OwnProcess(withTasks: options.share.needsTasks)
    table?.serveHere()
    let server: Server
    if let walls {
        let apart = try process.walledOff(walls)
        let tree = try enterPrivateRoot(root, readOnly: options.share.readOnly, walls)
        try inside.settle()
        forbidCrashHandlers()
        server = try Server(options, root: tree, process: apart, mappable: mappable, table: table)
    } else {
        try enterChroot(root, process)
        try inside.settle()
        forbidCrashHandlers()
        server = try Server(options, root: root, process: process, mappable: mappable, table: table)
    }
    inside.announce()
    try server.run(listener)
}

/// For a DAX window. Without it only some files are accessed through one, which is said once.
private func startMappableFiles(_ options: DaemonOptions) -> MappableFiles? {
    guard options.window != nil, !options.share.readOnly else { return nil }
    do throws(StartupError) { return try MappableFiles.start(filter: options.seccomp) } catch {
        Log.warning("only files of a multiple of 2 MiB are accessed through the DAX window: \(error)")
        return nil
    }
}

extension DaemonOptions.Socket {
    /// The number that stays open although it was open before we were.
    fileprivate var inherited: Int32? {
        if case .listening(let number) = self { return number }
        return nil
    }
}

private func openRoot(_ options: ShareOptions) throws(StartupError) -> OwnedDescriptor {
    do {
        return try openSharedRoot(options)
    } catch let error as StartupError {
        throw error
    } catch {
        throw StartupError(operation: "share", subject: escaped(options.sharedDirectory), reason: "\(error)")
    }
}
