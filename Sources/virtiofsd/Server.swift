// SPDX-License-Identifier: Apache-2.0
import Backend
import Coherence
import Errors
import HostFS
import HostOS
import MappableFiles
import Sandbox
import StateArena
import VhostUser

/// The process that serves a share, once it is where it is to be.
final class Server {
    private let options: DaemonOptions
    private let device: Device
    private let watch: ShutdownWatch
    private let filters: SystemCallFilters
    /// Files in the DAX window that others make shorter.
    private let sizeWatch: SizeWatch?
    /// The watcher ends with it.
    private let table: TableUse?

    /// Makes everything that serves, and gives up every right that serving does not take.
    ///
    /// - Parameters:
    ///   - root: the shared directory or file, O_PATH.
    ///   - process: this process's own.
    ///   - mappable: makes files mappable at any size; nil: this host cannot.
    ///   - table: where changes are told; nil: nowhere.
    ///   - sockets: the directory in which it will make its socket; −1: that is done by somebody else.
    init(
        _ options: DaemonOptions, root: consuming OwnedDescriptor, process: consuming OwnProcess,
        mappable: MappableFiles?, table: TableUse?, sockets: Int32 = -1
    ) throws(StartupError) {
        self.options = options
        self.table = table
        try doing("give up", "new privileges") { () throws(Errno) in try forbidNewPrivileges() }
        try doing("forbid", "others to look into its memory") { () throws(Errno) in try forbidInspection() }
        watch = try doing("watch for", "signals") { () throws(Errno) in try ShutdownWatch() }
        let arena = try doing("make", "the table of what the guest knows") { () throws(Errno) in
            try StateArena()
        }
        // Before it is seen whether file handles work: some kernels would let only what is given up here open them.
        let mayKeep: CapabilitySet =
            options.share.inodeFileHandles == .never ? .ofShare : [.ofShare, .fileHandles]
        _ = try giveUpCapabilities(but: mayKeep, options, tell: true)
        let tasks = process.tasks
        let rule = try doing("open", "the share again") { () throws(Errno) in try root.duplicate() }
        let mappings = try options.window.map(makeMappings)
        let share = try openShare(options.share, arena, root, process, mappings, mappable, table?.table)
        if !share.usesFileHandles, mayKeep != .ofShare {
            try giveUpCapabilities(but: .ofShare, options, tell: false)
        }
        // A file handle leads to an object without its way from the share, and then Landlock refuses it.
        try confine(
            share.usesFileHandles ? nil : rule.rawValue, tasks, sockets, mappable?.directory.rawValue ?? -1)
        let filters = try SystemCallFilters(
            options.seccomp, usesSystemLog: options.syslog, usesWindow: mappings != nil)
        self.filters = filters
        sizeWatch = try doing("watch", "the sizes of files in the DAX window") { () throws(Errno) in
            guard let window = share.window, let mappable else { return nil }
            return try SizeWatch(window, mappable) { () throws(Errno) in try filters.load(.request) }
        }
        // Each thread inherits what this one has left.
        var configuration = DeviceConfiguration(
            tag: options.tag, requestQueueCount: options.numRequestQueues,
            waitingThreadCount: options.waitingThreads,
            confineThread: { () throws(Errno) in try filters.load(.request) })
        configuration.limits = options.requestLimits
        device = try doing("start", "the queues' threads") { () throws(Errno) in
            try Device(
                configuration: configuration, share: share, arena: arena, polling: options.polling,
                mappings: mappings)
        }
    }

    /// Serves front-ends until the end.
    func run(_ listener: Listener) throws(StartupError) {
        let daemon = Daemon(
            listener: listener, device: device, once: options.once, stopEvent: watch.stopEvent)
        // Kata's runtime-rs starts the VM when it reads these words.
        Log.info("Waiting for vhost-user socket connection...")
        let filters = filters
        try doing("start", "the thread that watches for signals") { () throws(Errno) in
            try watch.whileRunning(confine: { () throws(Errno) in try filters.load(.signals) }) {
                () throws(Errno) in
                try filters.load(.control)
                daemon.run()
            }
        }
    }
}

private func giveUpCapabilities(
    but needed: CapabilitySet, _ options: DaemonOptions, tell: Bool
) throws(StartupError) {
    let cut = try cutCapabilities(to: needed, options.capabilities)
    if tell {
        if let remark = cut.remark { Log.warning(remark) }
        let leadsToTrusted = options.share.xattrMap?.targets.contains { $0.starts(with: "trusted.".utf8) }
        if leadsToTrusted ?? false, !cut.kept.contains(.trustedAttributes) {
            Log.warning(
                "--xattrmap leads to trusted.*, which the daemon may not use: the guest gets EPERM and ENODATA; "
                    + "say --modcaps +sys_admin, or lead it to user.*")
        }
    }
    Log.debug("capabilities: \(cut.kept)")
}

/// Landlock, where the kernel has it.
private func confine(
    _ share: Int32?, _ tasks: Int32, _ sockets: Int32, _ files: Int32
) throws(StartupError) {
    let wall = try raiseLandlock(share: share, tasks: tasks, sockets: sockets, files: files)
    if wall.version == 0 { return Log.info("this kernel has no Landlock, one wall fewer") }
    let files = wall.coversFiles ? "files and " : ""
    Log.debug("Landlock (version \(wall.version)) guards \(files)what is no file")
}

private func makeMappings(_ settings: WindowSettings) throws(StartupError) -> MappingChannel {
    try doing("make", "the DAX window") { () throws(Errno) in
        try MappingChannel(byteCount: settings.byteCount, dialect: settings.dialect)
    }
}

private func openShare(
    _ options: ShareOptions, _ arena: StateArena, _ root: consuming OwnedDescriptor,
    _ process: consuming OwnProcess, _ window: MappingChannel?, _ mappable: MappableFiles?,
    _ table: VersionTable?
) throws(StartupError) -> Share {
    let changes = try table.map { table throws(StartupError) in
        try doing("write", "the version table, as more than 64 threads of daemons") { () throws(Errno) in
            try WriterPool(table)
        }
    }
    do {
        return try Share(
            options, arena: arena, root: root, process: process, window: window,
            mappable: mappable.map { EndlessFiles($0) }, changes: changes)
    } catch let error as StartupError {
        throw error
    } catch let error as Errno {
        throw StartupError(
            operation: "share", subject: escaped(options.sharedDirectory), reason: describe(error))
    } catch {
        throw StartupError(operation: "share", subject: escaped(options.sharedDirectory), reason: "\(error)")
    }
}
