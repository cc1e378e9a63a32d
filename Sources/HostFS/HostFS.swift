// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import FuseServer
import FuseWire
import Glibc
import HostOS
import StateArena

/// A host directory as a file system, as one worker sees it: what belongs to its thread, and the share.
///
/// Made and used by one thread. The thread's working directory becomes /proc/self/fd, so that calls which take only a
/// path reach a descriptor by its number.
@safe package final class HostFS: FileSystem {
    package let share: Share
    /// The share's: a stored copy is read in place, without a reference count.
    let options: ShareOptions
    let credentials: Credentials
    private let fullValidity: Validity
    private let validityAlone: Validity
    /// Whether operations may wait for a disk. `waiting` says how they do not.
    let mayWait: Bool
    let pins: PinSet
    let users: IdTable
    let groups: IdTable
    let xattrName = XattrNameBuffer()
    /// What the xattr map makes of security.capability, if that is another name.
    let mappedCapability: OwnedName?
    let fileHandle = FileHandleBuffer()
    private let descriptorName = ProcessDescriptorName()
    /// O_PATH of the directory of the thread's security attributes; −1: there is none, or no guest gives labels.
    let threadAttributes: Int32
    /// The bit in the version table of the change that this request makes; 0: of none.
    var ownChange: UInt64 = 0
    /// Somebody says when the guest has its answer (`requestAnswered`).
    var closesLater = false
    /// What the last request has released, if that is not closed yet.
    var released: ReleasedHandle?
    /// getdents64(2) writes here.
    let directoryEntries: UnsafeMutableRawBufferPointer
    static let directoryEntriesCapacity = 64 * 1024

    init(_ share: Share, mayWait: Bool) throws(Errno) {
        self.share = share
        self.mayWait = mayWait
        options = share.options
        fullValidity = options.validity
        validityAlone = fullValidity.alone
        users = IdTable(options.users)
        groups = IdTable(options.groups)
        mappedCapability = options.xattrMap?.otherName(of: Array("security.capability".utf8)).map(
            OwnedName.init)
        credentials = try Credentials()
        _ = try systemCall { fchdir(share.processDescriptors) }
        threadAttributes = share.process.tasks < 0 ? -1 : vfs_open_thread_attributes(share.process.tasks)
        pins = try share.board.claim()
        unsafe directoryEntries = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.directoryEntriesCapacity, alignment: 8)
    }

    deinit {
        unsafe directoryEntries.deallocate()
        if threadAttributes >= 0 { _ = close(threadAttributes) }
        share.board.giveBack(pins)
        share.collectRetired()
    }

    /// How long the guest may use what it is told now.
    @inline(__always)
    var validity: Validity { hasTrustworthyCaches ? fullValidity : validityAlone }

    /// The same of one object.
    func validity(of status: FileStatus) -> Validity {
        guard share.sharedCaches != nil, let changes = share.changes,
            changes.isWrittenElsewhere(changes.table.slot(of: FileKey(status)))
        else { return validity }
        var result = validity
        result.attributes = .zero
        return result
    }

    /// False under `--cache shared` while nobody tells the guest of changes.
    @inline(__always)
    var hasTrustworthyCaches: Bool {
        options.cache != .shared || share.sharedCaches?.areTrustworthy ?? false
    }

    /// Whether the guest keeps the data and the lists of what it opens now.
    var keepsData: Bool {
        switch options.cache {
        case .always: true
        case .shared: hasTrustworthyCaches
        case .never, .metadata, .auto: false
        }
    }

    var isReadOnly: Bool { options.readOnly }

    /// Throws EROFS on a share that the guest may not change.
    func requireWritable() throws(Errno) {
        if options.readOnly { throw .EROFS }
    }

    /// Whether INIT agreed on `flag` (`InitFlags`).
    func isNegotiated(_ flag: UInt64) -> Bool { share.negotiated & flag != 0 }

    // ---- requests ----

    package func requestBegan() { closeReleased() }

    /// Lets go of everything that the request used.
    package func requestEnded() {
        pins.clear()
        if !share.retired.isEmpty { share.collectRetired() }
    }

    /// Nobody waits for a RELEASE, so the file is closed while the guest is busy with the answer.
    package func requestAnswered() { closeReleased() }

    @inline(__always)
    private func closeReleased() {
        if let handle = released { closeReleased(handle) }
    }

    @inline(never)
    private func closeReleased(_ handle: ReleasedHandle) {
        released = nil
        finishRelease(of: handle)
        requestEnded()
    }

    // ---- as whom ----

    /// Everything that makes no object: the guest's kernel has checked permissions.
    func enterDaemon() { credentials.enterDaemon() }

    /// The same; with `losingSetID` what is written or cut loses set-user-id and set-group-id bits (KILL_SUIDGID).
    func enterDaemon(losingSetID: Bool) {
        if losingSetID { credentials.enterDaemonLosingSetID() } else { credentials.enterDaemon() }
    }

    /// Everything that makes an object. `umask` is the request's, which counts when INIT agreed on DONT_MASK. Get
    /// descriptors of nodes before: bringing one back may need the daemon's rights, and going there and back costs.
    ///
    /// - Parameter checked: whether the guest's kernel has checked this very access; if not, ours does with what it knows.
    func enter(_ caller: borrowing Caller, umask: UInt32 = 0, checked: Bool = true) throws(Errno) {
        try credentials.enter(
            uid: try hostUser(caller.uid), gid: try hostGroup(caller.gid),
            group: try hostGroup(optional: caller.supplementaryGroup),
            groupsAreKnown: !checked || isNegotiated(InitFlags.createSupplementaryGroup))
        credentials.useUmask(isNegotiated(InitFlags.dontMask) ? umask : 0)
    }

    // ---- descriptors by name ----

    /// The name of `descriptor` relative to `share.processDescriptors`, which is also the thread's working directory.
    /// Following it opens the same object again. Valid until the next call.
    func processName(of descriptor: Int32) -> UnsafePointer<CChar> { unsafe descriptorName.of(descriptor) }
}
