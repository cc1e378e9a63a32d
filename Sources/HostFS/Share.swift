// SPDX-License-Identifier: Apache-2.0
import CLinux
import Coherence
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena
import Synchronization

/// One shared directory: what its workers have in common. Every method may be called by any thread.
package final class Share: FileSystemShare {
    package let options: ShareOptions
    /// What the guest knows and has open.
    package let arena: StateArena
    let inodes: InodeTable
    let handles: HandleTable
    let mounts: MountTable
    let hot: HotDescriptors
    let namesTold: NamesTold
    /// What the guest uses without having asked to open it.
    let openNodes: OpenNodes
    let quota: DescriptorQuota
    let board: PinBoard
    let retired: RetiredList
    /// How long calls take that may wait for a disk.
    let waits = WaitRecord()
    /// READDIR of one directory at a time: the descriptor has one position. By handle slot.
    let directoryLocks: [DirectoryLock]
    /// POSIX locks of the guest's processes, and who waits for a lock.
    let lockOwners: LockOwners
    let lockWaiters: LockWaiters
    /// Files that the guest accesses as memory; nil: the device has no window.
    package let window: DAXWindow?
    /// Tells others of changes; nil: nobody wants to know.
    let changes: WriterPool?
    /// `--cache shared`.
    let sharedCaches: SharedCaches?
    /// Owns the descriptor below.
    let process: OwnProcess
    /// O_PATH of /proc/self/fd, through which what is open is opened again.
    let processDescriptors: Int32
    /// Whether inodes are referred to by file handle, where their file system has them.
    package let usesFileHandles: Bool
    /// The mount of the share, where opening by file handle is quicker than through /proc/self/fd, also while there is a
    /// descriptor; 0: it may ask a server.
    let quickHandleMount: UInt32
    /// Of that mount; it stays in `mounts` with the root.
    let quickHandleDescriptor: Int32

    /// Counts answers about files that others' guests write as memory.
    let unsettled = Atomic<UInt64>(0)

    /// The host has refused to set a label, and the log has it.
    let hasRefusedLabel = Atomic<Bool>(false)

    /// Opens the shared directory. Process-wide effect: the umask becomes 0, because the guest applies its own.
    ///
    /// - Throws: `StartupError` when the directory cannot be served, or file handles are demanded and cannot be had.
    package convenience init(_ options: ShareOptions, arena: StateArena) throws {
        try self.init(
            options, arena: arena, root: try openSharedRoot(options),
            process: try OwnProcess(withTasks: options.needsTasks))
    }

    /// The same from descriptors that are open already, O_PATH all of them.
    ///
    /// - Parameters:
    ///   - window: the device's, with `options.dax`.
    ///   - mappable: for a VMM that maps nothing behind the end of a file; nil: where the host cannot.
    ///   - changes: of the version table, which is to tell what is changed.
    package init(
        _ options: ShareOptions, arena: StateArena, root: consuming OwnedDescriptor,
        process: consuming OwnProcess, window: (any FileWindow)? = nil,
        mappable: (any MappableSource)? = nil, changes: WriterPool? = nil
    ) throws {
        let start = ShareStart(options)
        let readable = try start.openReadable(root, process)
        processDescriptors = process.descriptors.rawValue
        let status = try start.status(of: root)
        usesFileHandles = try start.probeFileHandles(root, mount: readable, status)
        quickHandleMount = usesFileHandles && start.findsHandlesInMemory(root) ? status.mount : 0
        quickHandleDescriptor = readable.rawValue
        self.process = process
        _ = umask(0)

        self.options = options
        self.arena = arena
        inodes = try InodeTable(arena.inodes, limit: options.limits.inodes)
        handles = HandleTable(arena.handles, limit: options.limits.openFiles)
        mounts = unsafe MountTable(arena.mounts)
        hot = HotDescriptors(capacity: options.hotDescriptors, inodes: inodes)
        namesTold = try NamesTold()
        quota = try DescriptorQuota(besides: options.hotDescriptors)
        self.window =
            if let window {
                try DAXWindow(
                    window, source: mappable, options.dax ?? DAXOptions(), quota, readOnly: options.readOnly,
                    changes: changes)
            } else { nil }
        self.changes = changes
        sharedCaches =
            if options.cache == .shared, let table = changes?.table {
                try SharedCaches(table, of: FileKey(status))
            } else { nil }
        openNodes = try OpenNodes(quota: min(quota.limit, handles.limit.maximum))
        board = try PinBoard()
        retired = RetiredList()
        lockOwners = LockOwners()
        lockWaiters = try LockWaiters(room: options.limits.waitingLocks)
        directoryLocks = (0..<64).map { _ in DirectoryLock() }
        if usesFileHandles { _ = mounts.add(status.mount, readable) }
        // The first record of an empty table is slot 1 with generation 0: FUSE_ROOT_ID.
        let inserted = inodes.insert(
            Identity(status), descriptor: root.release(), handle: nil, flags: VFS_INODE_KEEPS_DESCRIPTOR)
        invariant(inserted?.node == .root, "the state arena of a new share is empty")
    }

    /// The file system for one more thread. Called on that thread: credentials and umask belong to threads.
    package func makeWorker(mayWait: Bool = true) throws(Errno) -> HostFS {
        try HostFS(self, mayWait: mayWait)
    }

    package func makeFileSystem(mayWait: Bool) throws(Errno) -> any FileSystem {
        let worker = try makeWorker(mayWait: mayWait)
        if let changes { return CoherentFS(worker, changes) }
        worker.closesLater = !mayWait
        return worker
    }

    /// Whether the kernel has fchmodat2(2), which takes any descriptor; without, a path through /proc leads there.
    var changesModeByDescriptor: Bool {
        get { modeByDescriptor.load(ordering: .relaxed) }
        set { modeByDescriptor.store(newValue, ordering: .relaxed) }
    }
    private let modeByDescriptor = Atomic<Bool>(true)

    /// The FUSE_INIT flags in force.
    var negotiated: UInt64 {
        get { unsafe vfs_load_relaxed64(flagsAddress) }
        set { unsafe vfs_store_relaxed64(flagsAddress, newValue) }
    }

    private var flagsAddress: UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(arena.session)
            + (MemoryLayout<vfs_session>.offset(of: \.file_system_flags) ?? 0)
    }

    /// Ends every wait for a lock with EINTR; returns when each has been asked to.
    package func cancelWaiters() { lockWaiters.cancelAll() }

    /// The guest is gone: drops everything that it knew and had open.
    package func disconnect() {
        lockWaiters.finish()
        lockOwners.dropAll()
        while openNodes.removeAny() != nil {}  // the handles end with the others
        for slot in handles.slots.usedSlots where handles.retire(slot) { retire(.handle(slot)) }
        for slot in inodes.slots.usedSlots where inodes.drop(slot) { retire(.inode(slot)) }
        window?.forgetAll()
        changes?.serve(follower: nil)
        sharedCaches?.agentHasGone()
        negotiated = 0
    }

    /// How many objects the guest knows, the root included.
    package var knownInodes: Int { inodes.knownCount }
    /// How often the guest has wanted one more than it may have.
    package var reachedLimits: (openFiles: UInt64, inodes: UInt64, descriptors: UInt64) {
        (handles.limit.reachedCount, inodes.limit.reachedCount, quota.reachedCount)
    }
    /// How many descriptors the guest makes us hold.
    package var guestDescriptors: Int { quota.usedCount }
}

/// An O_PATH descriptor of what `options` says to share, found by path.
///
/// - Throws: `StartupError` when it is neither a directory nor a regular file.
package func openSharedRoot(_ options: ShareOptions) throws -> OwnedDescriptor {
    try ShareStart(options).openRoot()
}

final class DirectoryLock: Sendable {
    let mutex = Mutex<Void>(())
}
