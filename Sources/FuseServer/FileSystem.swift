// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// Who asks: the ids of `fuse_in_header`, and what extensions say for operations that make objects.
@safe public struct Caller {
    /// 0xffffffff (FUSE_INVALID_UIDGID) on idmapped mounts, for everything that makes no object.
    public var uid: UInt32
    public var gid: UInt32
    public var pid: UInt32
    /// The request's `unique`, by which an INTERRUPT names it.
    public var unique: Unique
    /// FUSE_CREATE_SUPP_GROUP: the one supplementary group that the guest sent, if any.
    public var supplementaryGroup: UInt32?
    /// FUSE_SECURITY_CTX: the label to put on the new object, atomically.
    public var label: SecurityLabel?

    public init(uid: UInt32, gid: UInt32, pid: UInt32, unique: Unique) {
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.unique = unique
        self.supplementaryGroup = nil
        self.label = nil
    }
}

/// One `fuse_secctx`: xattr name ("security.selinux") and value, in the worker's scratch memory.
@safe public struct SecurityLabel {
    public let name: Text
    public let value: UnsafeRawBufferPointer

    public init(name: Text, value: UnsafeRawBufferPointer) {
        self.name = name
        unsafe self.value = unsafe value
    }
}

/// The outcome of an operation that may have to wait for somebody else.
public enum Completion: Sendable {
    case done
    /// Answered later, through the `DeferredReply`.
    case deferred
}

/// The reply of a request that left its worker; completed exactly once, from any thread.
public protocol DeferredReply: AnyObject, Sendable {
    /// Answers the request: nil is success with an empty body.
    func complete(_ error: Errno?)
}

/// What the request that is being handled can wait by, when it cannot be answered at once.
public protocol DeferralSource: AnyObject {
    /// Makes a reply that is completed later.
    func deferReply() -> any DeferredReply
    /// Takes over the part of a READ that would wait. True: the READ will be answered with what comes of that, whatever becomes
    /// of the descriptor, and is to throw `Errno.mustWait`. False: nothing has happened.
    func take(_ read: HostRead) -> Bool
}

extension DeferralSource {
    public func take(_ read: HostRead) -> Bool { false }
}

/// What `FuseServer` asks of a file system. One object per worker: its methods are only called by that worker's thread, one
/// request at a time; what several workers share is the implementation's matter.
///
/// Every method runs to its end without blocking on another request of the guest. Errors are what the guest sees, negated.
/// `nodeID`s and handles are the guest's claims: unknown or stale ones are ESTALE and EBADF.
public protocol FileSystem: AnyObject {
    // ---- session ----

    /// INIT: `offer` is what the guest can do; returns what is wanted of it. Forgets everything of an earlier session.
    func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice
    /// DESTROY, or the device was reset: the guest has forgotten everything.
    func destroy()
    /// A quiescent point: no descriptor or record that an earlier request saw is in use by this worker any more.
    func requestBegan()
    func requestEnded()
    /// The guest has the answer to the last request: the time for what it need not wait for.
    func requestAnswered()

    // ---- names ----

    /// LOOKUP; path walks of the guest. A missing name is ENOENT, or an entry with nodeID 0 that the guest may remember.
    func lookup(_ caller: Caller, parent: NodeID, name: Name) throws(Errno) -> EntryOut
    /// LOOKUP of "." (`nodeID` itself) or ".." (its parent), for NFS export in the guest. ESTALE where it cannot be told.
    func lookupSpecial(_ caller: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut
    /// FORGET: the guest drops `count` of its references. Never fails.
    func forget(_ nodeID: NodeID, count: UInt64)
    func mknod(_ caller: Caller, parent: NodeID, name: Name, _ arguments: MknodIn) throws(Errno) -> EntryOut
    func mkdir(_ caller: Caller, parent: NodeID, name: Name, _ arguments: MkdirIn) throws(Errno) -> EntryOut
    func symlink(_ caller: Caller, parent: NodeID, name: Name, target: Text) throws(Errno) -> EntryOut
    func link(_ caller: Caller, nodeID: NodeID, newParent: NodeID, name: Name) throws(Errno) -> EntryOut
    func unlink(_ caller: Caller, parent: NodeID, name: Name) throws(Errno)
    func rmdir(_ caller: Caller, parent: NodeID, name: Name) throws(Errno)
    /// RENAME and RENAME2; `flags` are RENAME_*.
    func rename(
        _ caller: Caller, parent: NodeID, name: Name, newParent: NodeID, newName: Name, flags: UInt32
    ) throws(Errno)
    /// READLINK: appends the target, without a NUL.
    func readlink(_ caller: Caller, nodeID: NodeID, into reply: inout ReplyBuffer) throws(Errno)

    // ---- attributes ----

    func getattr(_ caller: Caller, nodeID: NodeID, handle: HandleID?) throws(Errno) -> AttrOut
    func setattr(_ caller: Caller, nodeID: NodeID, _ arguments: SetAttrIn) throws(Errno) -> AttrOut
    func statx(_ caller: Caller, nodeID: NodeID, handle: HandleID?, _ arguments: StatxIn) throws(Errno)
        -> StatxOut
    func access(_ caller: Caller, nodeID: NodeID, mask: UInt32) throws(Errno)
    func statfs(_ caller: Caller, nodeID: NodeID) throws(Errno) -> StatFSOut

    // ---- files ----

    func open(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut
    func create(_ caller: Caller, parent: NodeID, name: Name, _ arguments: CreateIn) throws(Errno)
        -> CreateOut
    /// TMPFILE (7.37): an unnamed file in the file system of `parent`.
    func tmpfile(_ caller: Caller, parent: NodeID, _ arguments: CreateIn) throws(Errno) -> CreateOut
    /// Reads at most `data.byteCount` bytes into guest pages; fewer means the end of the file. A read that would wait may be
    /// given to `deferrals`.
    func read(
        _ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into data: DataVector,
        deferrals: any DeferralSource
    ) throws(Errno) -> Int
    /// Writes `data`; returns how much of it was written.
    func write(_ caller: Caller, nodeID: NodeID, _ arguments: WriteIn, from data: DataVector) throws(Errno)
        -> Int
    func flush(_ caller: Caller, nodeID: NodeID, _ arguments: FlushIn) throws(Errno)
    func release(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno)
    func fsync(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno)
    func fallocate(_ caller: Caller, nodeID: NodeID, _ arguments: FallocateIn) throws(Errno)
    /// LSEEK with SEEK_DATA or SEEK_HOLE.
    func lseek(_ caller: Caller, nodeID: NodeID, _ arguments: LseekIn) throws(Errno) -> UInt64
    /// COPY_FILE_RANGE and COPY_FILE_RANGE_64: returns the bytes copied, never more than asked.
    func copyFileRange(_ caller: Caller, nodeID: NodeID, _ arguments: CopyFileRangeIn) throws(Errno) -> UInt64
    /// IOCTL: `input` is what the guest passed in; appends what it gets back. Returns the ioctl's own result.
    func ioctl(
        _ caller: Caller, nodeID: NodeID, _ arguments: IoctlIn, input: UnsafeRawBufferPointer,
        into reply: inout ReplyBuffer
    ) throws(Errno) -> Int32
    func syncfs(_ caller: Caller, nodeID: NodeID) throws(Errno)

    // ---- files in the DAX window: only after INIT has agreed on MAP_ALIGNMENT ----

    /// SETUPMAPPING: makes a piece of a regular file appear.
    func setupMapping(_ caller: Caller, nodeID: NodeID, _ arguments: SetupMappingIn) throws(Errno)
    /// REMOVEMAPPING: takes pieces away, whatever file they show. All of them, also after an error.
    func removeMapping(_ caller: Caller, _ pieces: RemoveMappingList) throws(Errno)

    // ---- directories ----

    func opendir(_ caller: Caller, nodeID: NodeID, _ arguments: OpenIn) throws(Errno) -> OpenOut
    /// READDIR: appends whole `fuse_dirent` records, at most `arguments.size` bytes; nothing means the end.
    func readdir(_ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer)
        throws(Errno)
    /// READDIRPLUS: the same with `fuse_direntplus`; each entry with a nodeID counts as a lookup.
    func readdirplus(_ caller: Caller, nodeID: NodeID, _ arguments: ReadIn, into reply: inout ReplyBuffer)
        throws(Errno)
    func releasedir(_ caller: Caller, nodeID: NodeID, _ arguments: ReleaseIn) throws(Errno)
    func fsyncdir(_ caller: Caller, nodeID: NodeID, _ arguments: FsyncIn) throws(Errno)

    // ---- extended attributes ----

    func setxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ arguments: SetXattrIn
    ) throws(Errno)
    /// Appends the value. With `sizeOnly` nothing is appended. Returns the value's length; ERANGE if it does not fit
    /// `size`.
    func getxattr(
        _ caller: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int
    /// The same for the list of names, each with its NUL.
    func listxattr(
        _ caller: Caller, nodeID: NodeID, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int
    func removexattr(_ caller: Caller, nodeID: NodeID, name: Text) throws(Errno)

    // ---- locks ----

    func getlk(_ caller: Caller, nodeID: NodeID, _ arguments: LockIn) throws(Errno) -> FileLock
    /// SETLK and (with `wait`) SETLKW. A lock that must wait is `.deferred`, with the reply that `deferrals` made.
    func setlk(
        _ caller: Caller, nodeID: NodeID, _ arguments: LockIn, wait: Bool, deferrals: any DeferralSource
    ) throws(Errno) -> Completion
    /// INTERRUPT: the request `unique` should end with EINTR if it still waits. Unknown ones are no error.
    func interrupt(_ unique: Unique)
}

extension FileSystem {
    public func setupMapping(_ caller: Caller, nodeID: NodeID, _ arguments: SetupMappingIn) throws(Errno) {
        throw .ENOSYS
    }
    public func removeMapping(_ caller: Caller, _ pieces: RemoveMappingList) throws(Errno) { throw .ENOSYS }
}

extension FileSystem {
    public func requestAnswered() {}
}
