// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseServer
import FuseWire

/// Writes down what it is asked, and answers with values that can be told apart. Fails with `error` if there is one.
final class RecordingFS: FileSystem {
    private(set) var calls: [String] = []
    var error: Errno?
    /// What comes back where an operation returns a count.
    var count = 3
    /// What READLINK, READDIR, xattrs and IOCTL append.
    var payload: [UInt8] = [1, 2, 3]
    var completion = Completion.done
    /// Which flags INIT wants; nil for all that the guest offers.
    var wantedFlags: UInt64?
    var whileInitializing: (() -> Void)?
    private(set) var offer: InitOffer?
    private(set) var callers: [Caller] = []
    private(set) var began = 0
    private(set) var ended = 0
    /// What the data of the last WRITE was.
    private(set) var written: [UInt8] = []
    /// How much room the last READ was given, by its entries.
    private(set) var readRoom = 0

    func forgetCalls() { calls = [] }

    private func note(_ call: String) { calls.append(call) }

    private func note(_ caller: Caller, _ call: String) throws(Errno) {
        callers.append(caller)
        calls.append(call)
        if let error { throw error }
    }

    static var entry: EntryOut {
        var entry = EntryOut()
        entry.nodeID = 0x1111
        entry.generation = 0x2222
        entry.entryValid = 5
        entry.attributes.mode = 0o100644
        return entry
    }

    static var attributes: AttrOut {
        var reply = AttrOut()
        reply.attrValid = 6
        reply.attributes.size = 0x3333
        return reply
    }

    static var opened: OpenOut {
        var reply = OpenOut()
        reply.handle = 0x4444
        reply.openFlags = OpenOutFlags.keepCache
        return reply
    }

    static var created: CreateOut {
        var reply = CreateOut()
        reply.entry = entry
        reply.open = opened
        return reply
    }

    static var statx: StatxOut {
        var reply = StatxOut()
        reply.stat.size = 0x5555
        return reply
    }

    static var statfs: StatFSOut {
        var reply = StatFSOut()
        reply.blocks = 0x6666
        return reply
    }

    private func append(to reply: inout ReplyBuffer) throws(Errno) {
        let fits = payload.withUnsafeBytes { reply.append($0) }
        guard fits else { throw .ERANGE }
    }

    private func list(_ data: DataVector) -> [UnsafeMutableRawBufferPointer] {
        guard let entries = data.iovecs else { return [] }
        return (0..<data.count).map { index in
            let address = entries.load(fromByteOffset: index * 16, as: UInt.self)
            let length = entries.load(fromByteOffset: index * 16 + 8, as: Int.self)
            return UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: address), count: length)
        }
    }

    private func s(_ name: Name) -> String {
        String(decoding: UnsafeRawBufferPointer(start: name.cString, count: name.byteCount), as: UTF8.self)
            + (name.cString[name.byteCount] == 0 ? "" : " without NUL")
    }

    private func s(_ text: Text) -> String {
        String(decoding: UnsafeRawBufferPointer(start: text.cString, count: text.byteCount), as: UTF8.self)
            + (text.cString[text.byteCount] == 0 ? "" : " without NUL")
    }

    private func s(_ id: NodeID) -> String { "#\(id.rawValue)" }

    // ---- session ----

    func initialize(_ offer: InitOffer) throws(Errno) -> InitChoice {
        self.offer = offer
        note("initialize")
        whileInitializing?()
        if let error { throw error }
        return InitChoice(flags: wantedFlags ?? ~0)
    }
    func destroy() { note("destroy") }
    func requestBegan() { began += 1 }
    func requestEnded() { ended += 1 }

    // ---- names ----

    func lookup(_ c: Caller, parent: NodeID, name: Name) throws(Errno) -> EntryOut {
        try note(c, "lookup \(s(parent)) \(s(name))")
        return Self.entry
    }
    func lookupSpecial(_ c: Caller, nodeID: NodeID, parent: Bool) throws(Errno) -> EntryOut {
        try note(c, "lookupSpecial \(s(nodeID)) parent \(parent)")
        return Self.entry
    }
    func forget(_ nodeID: NodeID, count: UInt64) { note("forget \(s(nodeID)) \(count)") }
    func mknod(_ c: Caller, parent: NodeID, name: Name, _ a: MknodIn) throws(Errno) -> EntryOut {
        try note(c, "mknod \(s(parent)) \(s(name)) \(a.mode) \(a.rdev) \(a.umask)")
        return Self.entry
    }
    func mkdir(_ c: Caller, parent: NodeID, name: Name, _ a: MkdirIn) throws(Errno) -> EntryOut {
        try note(c, "mkdir \(s(parent)) \(s(name)) \(a.mode) \(a.umask)")
        return Self.entry
    }
    func symlink(_ c: Caller, parent: NodeID, name: Name, target: Text) throws(Errno) -> EntryOut {
        try note(c, "symlink \(s(parent)) \(s(name)) -> \(s(target))")
        return Self.entry
    }
    func link(_ c: Caller, nodeID: NodeID, newParent: NodeID, name: Name) throws(Errno) -> EntryOut {
        try note(c, "link \(s(nodeID)) in \(s(newParent)) \(s(name))")
        return Self.entry
    }
    func unlink(_ c: Caller, parent: NodeID, name: Name) throws(Errno) {
        try note(c, "unlink \(s(parent)) \(s(name))")
    }
    func rmdir(_ c: Caller, parent: NodeID, name: Name) throws(Errno) {
        try note(c, "rmdir \(s(parent)) \(s(name))")
    }
    func rename(
        _ c: Caller, parent: NodeID, name: Name, newParent: NodeID, newName: Name, flags: UInt32
    ) throws(Errno) {
        try note(c, "rename \(s(parent)) \(s(name)) -> \(s(newParent)) \(s(newName)) \(flags)")
    }
    func readlink(_ c: Caller, nodeID: NodeID, into reply: inout ReplyBuffer) throws(Errno) {
        try note(c, "readlink \(s(nodeID)) room \(reply.capacity)")
        try append(to: &reply)
    }

    // ---- attributes ----

    func getattr(_ c: Caller, nodeID: NodeID, handle: HandleID?) throws(Errno) -> AttrOut {
        try note(c, "getattr \(s(nodeID)) \(handle?.rawValue ?? 0)")
        return Self.attributes
    }
    func setattr(_ c: Caller, nodeID: NodeID, _ a: SetAttrIn) throws(Errno) -> AttrOut {
        try note(
            c,
            "setattr \(s(nodeID)) \(a.valid) \(a.handle) \(a.size) \(a.lockOwner) \(a.atime) \(a.mtime) \(a.ctime) "
                + "\(a.atimensec) \(a.mtimensec) \(a.ctimensec) \(a.mode) \(a.uid) \(a.gid)")
        return Self.attributes
    }
    func statx(_ c: Caller, nodeID: NodeID, handle: HandleID?, _ a: StatxIn) throws(Errno) -> StatxOut {
        try note(c, "statx \(s(nodeID)) \(handle?.rawValue ?? 0) \(a.flags) \(a.mask)")
        return Self.statx
    }
    func access(_ c: Caller, nodeID: NodeID, mask: UInt32) throws(Errno) {
        try note(c, "access \(s(nodeID)) \(mask)")
    }
    func statfs(_ c: Caller, nodeID: NodeID) throws(Errno) -> StatFSOut {
        try note(c, "statfs \(s(nodeID))")
        return Self.statfs
    }

    // ---- files ----

    func open(_ c: Caller, nodeID: NodeID, _ a: OpenIn) throws(Errno) -> OpenOut {
        try note(c, "open \(s(nodeID)) \(a.flags) \(a.openFlags)")
        return Self.opened
    }
    func create(_ c: Caller, parent: NodeID, name: Name, _ a: CreateIn) throws(Errno) -> CreateOut {
        try note(c, "create \(s(parent)) \(s(name)) \(a.flags) \(a.mode) \(a.umask) \(a.openFlags)")
        return Self.created
    }
    func tmpfile(_ c: Caller, parent: NodeID, _ a: CreateIn) throws(Errno) -> CreateOut {
        try note(c, "tmpfile \(s(parent)) \(a.flags) \(a.mode) \(a.umask) \(a.openFlags)")
        return Self.created
    }
    func read(
        _ c: Caller, nodeID: NodeID, _ a: ReadIn, into data: DataVector, deferrals: any DeferralSource
    ) throws(Errno) -> Int {
        let parts = list(data)
        readRoom = parts.reduce(0) { $0 + $1.count }
        try note(
            c,
            "read \(s(nodeID)) \(a.handle) \(a.offset) \(a.size) \(a.readFlags) \(a.lockOwner) \(a.flags) "
                + "room \(data.byteCount)")
        parts.first?.copyBytes(from: payload.prefix(parts.first?.count ?? 0))
        return count
    }
    func write(_ c: Caller, nodeID: NodeID, _ a: WriteIn, from data: DataVector) throws(Errno) -> Int {
        written = list(data).flatMap { Array($0) }
        try note(
            c,
            "write \(s(nodeID)) \(a.handle) \(a.offset) \(a.size) \(a.writeFlags) \(a.lockOwner) \(a.flags) "
                + "data \(data.byteCount)")
        return count
    }
    func flush(_ c: Caller, nodeID: NodeID, _ a: FlushIn) throws(Errno) {
        try note(c, "flush \(s(nodeID)) \(a.handle) \(a.lockOwner)")
    }
    func release(_ c: Caller, nodeID: NodeID, _ a: ReleaseIn) throws(Errno) {
        try note(c, "release \(s(nodeID)) \(a.handle) \(a.flags) \(a.releaseFlags) \(a.lockOwner)")
    }
    func fsync(_ c: Caller, nodeID: NodeID, _ a: FsyncIn) throws(Errno) {
        try note(c, "fsync \(s(nodeID)) \(a.handle) \(a.flags)")
    }
    func fallocate(_ c: Caller, nodeID: NodeID, _ a: FallocateIn) throws(Errno) {
        try note(c, "fallocate \(s(nodeID)) \(a.handle) \(a.offset) \(a.length) \(a.mode)")
    }
    func lseek(_ c: Caller, nodeID: NodeID, _ a: LseekIn) throws(Errno) -> UInt64 {
        try note(c, "lseek \(s(nodeID)) \(a.handle) \(a.offset) \(a.whence)")
        return 0x7777
    }
    func copyFileRange(_ c: Caller, nodeID: NodeID, _ a: CopyFileRangeIn) throws(Errno) -> UInt64 {
        try note(
            c,
            "copy \(s(nodeID)) \(a.handleIn) \(a.offsetIn) -> #\(a.nodeIDOut) \(a.handleOut) \(a.offsetOut) "
                + "\(a.length) \(a.flags)")
        return UInt64(count)
    }
    func ioctl(
        _ c: Caller, nodeID: NodeID, _ a: IoctlIn, input: UnsafeRawBufferPointer,
        into reply: inout ReplyBuffer
    ) throws(Errno) -> Int32 {
        try note(
            c,
            "ioctl \(s(nodeID)) \(a.handle) \(a.flags) \(a.command) \(a.argument) \(Array(input)) "
                + "room \(reply.capacity)")
        try append(to: &reply)
        return 9
    }
    func setupMapping(_ c: Caller, nodeID: NodeID, _ a: SetupMappingIn) throws(Errno) {
        try note(
            c,
            "setupMapping \(s(nodeID)) \(a.handle) \(a.fileOffset) \(a.length) \(a.flags) \(a.windowOffset)")
    }
    func removeMapping(_ c: Caller, _ pieces: RemoveMappingList) throws(Errno) {
        let list = (0..<pieces.count).map { "\(pieces[$0].windowOffset)+\(pieces[$0].length)" }
        try note(c, "removeMapping " + list.joined(separator: ","))
    }
    func syncfs(_ c: Caller, nodeID: NodeID) throws(Errno) { try note(c, "syncfs \(s(nodeID))") }

    // ---- directories ----

    func opendir(_ c: Caller, nodeID: NodeID, _ a: OpenIn) throws(Errno) -> OpenOut {
        try note(c, "opendir \(s(nodeID)) \(a.flags) \(a.openFlags)")
        return Self.opened
    }
    func readdir(_ c: Caller, nodeID: NodeID, _ a: ReadIn, into reply: inout ReplyBuffer) throws(Errno) {
        try note(c, "readdir \(s(nodeID)) \(a.handle) \(a.offset) \(a.size) room \(reply.capacity)")
        try append(to: &reply)
    }
    func readdirplus(_ c: Caller, nodeID: NodeID, _ a: ReadIn, into reply: inout ReplyBuffer) throws(Errno) {
        try note(c, "readdirplus \(s(nodeID)) \(a.handle) \(a.offset) \(a.size) room \(reply.capacity)")
        try append(to: &reply)
    }
    func releasedir(_ c: Caller, nodeID: NodeID, _ a: ReleaseIn) throws(Errno) {
        try note(c, "releasedir \(s(nodeID)) \(a.handle) \(a.flags) \(a.releaseFlags) \(a.lockOwner)")
    }
    func fsyncdir(_ c: Caller, nodeID: NodeID, _ a: FsyncIn) throws(Errno) {
        try note(c, "fsyncdir \(s(nodeID)) \(a.handle) \(a.flags)")
    }

    // ---- extended attributes ----

    func setxattr(
        _ c: Caller, nodeID: NodeID, name: Text, value: UnsafeRawBufferPointer, _ a: SetXattrIn
    ) throws(Errno) {
        let shown = value.count > 8 ? "\(value.count) bytes" : "\(Array(value))"
        try note(c, "setxattr \(s(nodeID)) \(s(name)) \(shown) \(a.flags) \(a.setxattrFlags)")
    }
    func getxattr(
        _ c: Caller, nodeID: NodeID, name: Text, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        try note(c, "getxattr \(s(nodeID)) \(s(name)) \(size) sizeOnly \(sizeOnly)")
        if !sizeOnly { try append(to: &reply) }
        return payload.count
    }
    func listxattr(
        _ c: Caller, nodeID: NodeID, size: Int, sizeOnly: Bool, into reply: inout ReplyBuffer
    ) throws(Errno) -> Int {
        try note(c, "listxattr \(s(nodeID)) \(size) sizeOnly \(sizeOnly)")
        if !sizeOnly { try append(to: &reply) }
        return payload.count
    }
    func removexattr(_ c: Caller, nodeID: NodeID, name: Text) throws(Errno) {
        try note(c, "removexattr \(s(nodeID)) \(s(name))")
    }

    // ---- locks ----

    func getlk(_ c: Caller, nodeID: NodeID, _ a: LockIn) throws(Errno) -> FileLock {
        try note(c, "getlk \(lock(nodeID, a))")
        return a.lock
    }
    func setlk(
        _ c: Caller, nodeID: NodeID, _ a: LockIn, wait: Bool, deferrals: any DeferralSource
    ) throws(Errno) -> Completion {
        try note(c, "setlk \(lock(nodeID, a)) wait \(wait)")
        return completion
    }
    func interrupt(_ unique: Unique) { note("interrupt \(unique.rawValue)") }

    private func lock(_ nodeID: NodeID, _ a: LockIn) -> String {
        "\(s(nodeID)) \(a.handle) \(a.owner) \(a.lock.start) \(a.lock.end) \(a.lock.type) \(a.lock.pid) \(a.lockFlags)"
    }
}
