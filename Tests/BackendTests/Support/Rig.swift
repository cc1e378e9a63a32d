// SPDX-License-Identifier: Apache-2.0
import Backend
import Errors
import Frontend
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Synchronization
import VhostUser

/// A daemon that runs in this process and listens in a directory of its own; ends with the object.
final class Rig {
    let scratch: TemporaryDirectory
    let socketPath: String
    let share: any FileSystemShare
    private let device: Device
    private let stop: EventFD
    private var thread: HostOS.Thread?

    /// What only the control thread uses once it runs.
    private struct Carried: @unchecked Sendable { let daemon: Daemon }

    /// - Parameter arena: what the share keeps its state in; nil: an arena of the device alone.
    init(
        queues: Int = 1, share: any FileSystemShare, arena: StateArena? = nil, tag: String? = "rig",
        once: Bool = false, mayUseIOUring: Bool = true, limits: RequestLimits = RequestLimits(),
        scratch: TemporaryDirectory? = nil
    ) throws {
        let scratch = try scratch ?? TemporaryDirectory()
        self.scratch = scratch
        self.share = share
        socketPath = scratch.path + "/vhost.sock"
        stop = try EventFD()
        ignoreBrokenPipes()
        var configuration = DeviceConfiguration(
            tag: tag.map { Array($0.utf8) }, requestQueueCount: queues)
        configuration.limits = limits
        device = try Device(
            configuration: configuration, share: share, arena: try arena ?? StateArena(),
            mayUseIOUring: mayUseIOUring)
        let carried = Carried(
            daemon: Daemon(
                listener: try Listener(path: socketPath), device: device, once: once, stopEvent: stop))
        thread = try HostOS.Thread(name: "control") { carried.daemon.run() }
    }

    /// How often the guest has had to wait.
    var throttleCounts: ThrottleCounts { device.throttleCounts }

    /// Ends the daemon as SIGTERM does, and waits for that.
    func end() {
        stop.signal()
        join()
    }

    /// Waits until the daemon has ended by itself.
    func join() {
        thread?.join()
        thread = nil
    }

    deinit {
        end()
    }

    func connect(_ options: FrontendOptions = FrontendOptions()) throws -> DeviceFrontend {
        try DeviceFrontend(connectingTo: socketPath, options: options)
    }

    /// A guest that has connected and sent INIT.
    func guest(_ options: FrontendOptions = FrontendOptions(), flags: UInt64 = FuseClient.linuxFlags) throws
        -> FuseClient
    {
        let client = FuseClient(try connect(options))
        _ = try client.initialize(flags: flags)
        return client
    }
}

/// A share without a host, which counts what the device tells it.
final class NullShare: FileSystemShare {
    let disconnects = Atomic<Int>(0)

    func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem { NullFS() }
    func cancelWaiters() {}
    func disconnect() { disconnects.add(1, ordering: .relaxed) }
}

/// A directory that is removed, with everything in it, when the object ends.
final class TemporaryDirectory {
    let path: String

    init(in parent: String = "/tmp") throws(Errno) {
        var template = Array("\(parent)/virtiofs-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = String(cString: template)
    }

    deinit {
        _ = nftw(path, { name, _, _, _ in remove(name!) }, 16, Int32(FTW_DEPTH | FTW_PHYS | FTW_MOUNT))
    }
}

/// Waits until `condition` holds, for what nobody signals; false after ten seconds.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Deadline(milliseconds: 10_000)
    while deadline.remainingMilliseconds > 0 {
        if try condition() { return true }
        usleep(1000)
    }
    return try condition()
}

/// A pipe whose ends close with it.
final class Pipe {
    let readEnd: OwnedDescriptor
    let writeEnd: OwnedDescriptor

    init() throws(Errno) {
        var ends: [Int32] = [-1, -1]
        _ = try systemCall { pipe2(&ends, O_CLOEXEC) }
        readEnd = OwnedDescriptor(adopting: ends[0])
        writeEnd = OwnedDescriptor(adopting: ends[1])
    }
}
