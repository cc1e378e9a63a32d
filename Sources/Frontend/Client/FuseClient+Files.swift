// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// Requests about open files. `flags` are those of open(2).
extension FuseClient {
    package func open(_ nodeID: NodeID, flags: UInt32, openFlags: UInt32 = 0) throws(Errno) -> OpenOut {
        var argument = OpenIn()
        argument.flags = flags
        argument.openFlags = openFlags
        return try call(FuseRequest(.open, nodeID, argument), returning: OpenOut.self)
    }

    package func create(
        _ parent: NodeID, _ name: some Collection<UInt8>, flags: UInt32, mode: UInt32 = 0o644,
        umask: UInt32 = 0
    ) throws(Errno) -> CreateOut {
        try call(
            Self.createRequest(.create, parent, name, flags: flags, mode: mode, umask: umask),
            returning: CreateOut.self)
    }

    /// TMPFILE: a file without a name in the file system of `parent`.
    package func tmpfile(_ parent: NodeID, flags: UInt32, mode: UInt32 = 0o600) throws(Errno) -> CreateOut {
        try call(
            Self.createRequest(.tmpfile, parent, "/".utf8, flags: flags, mode: mode, umask: 0),
            returning: CreateOut.self)
    }

    package static func createRequest(
        _ opcode: Opcode, _ parent: NodeID, _ name: some Collection<UInt8>, flags: UInt32, mode: UInt32,
        umask: UInt32
    ) -> FuseRequest {
        var argument = CreateIn()
        argument.flags = flags
        argument.mode = mode | 0o100000
        argument.umask = umask
        var request = FuseRequest(opcode, parent, argument)
        request.append(name: name)
        return request
    }

    package func read(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64 = 0, size: Int, flags: UInt32 = 0
    ) throws(Errno) -> [UInt8] {
        try call(Self.readRequest(.read, nodeID, handle, offset: offset, size: size, flags: flags))
    }

    /// READ, READDIR or READDIRPLUS.
    package static func readRequest(
        _ opcode: Opcode, _ nodeID: NodeID, _ handle: UInt64, offset: UInt64, size: Int, flags: UInt32 = 0
    ) -> FuseRequest {
        var argument = ReadIn()
        argument.handle = handle
        argument.offset = offset
        argument.size = UInt32(clamping: size)
        argument.flags = flags
        var request = FuseRequest(opcode, nodeID, argument)
        request.replyBodyByteCount = size
        request.replyFixedByteCount = 0
        return request
    }

    /// WRITE; returns how many bytes were written, EPROTO for more than there are. `writeFlags` are `WriteIn`'s.
    package func write(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64 = 0, _ data: [UInt8], writeFlags: UInt32 = 0,
        flags: UInt32 = 0
    ) throws(Errno) -> Int {
        let request = Self.writeRequest(
            nodeID, handle, offset: offset, data, writeFlags: writeFlags, flags: flags)
        let count = Int(try call(request, returning: WriteOut.self).size)
        guard count <= data.count else { throw .EPROTO }
        return count
    }

    package static func writeRequest(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64, _ data: [UInt8], writeFlags: UInt32 = 0,
        flags: UInt32 = 0
    ) -> FuseRequest {
        var argument = WriteIn()
        argument.handle = handle
        argument.offset = offset
        argument.size = UInt32(clamping: data.count)
        argument.writeFlags = writeFlags
        argument.flags = flags
        var request = FuseRequest(.write, nodeID, argument)
        request.data = data
        request.replyBodyByteCount = MemoryLayout<WriteOut>.size
        return request
    }

    package func flush(_ nodeID: NodeID, _ handle: UInt64, lockOwner: UInt64 = 0) throws(Errno) {
        var argument = FlushIn()
        argument.handle = handle
        argument.lockOwner = lockOwner
        try call(FuseRequest(.flush, nodeID, argument))
    }

    /// RELEASE or RELEASEDIR. `releaseFlags` are `ReleaseIn`'s.
    package func release(
        _ nodeID: NodeID, _ handle: UInt64, directory: Bool = false, releaseFlags: UInt32 = 0,
        lockOwner: UInt64 = 0
    ) throws(Errno) {
        var argument = ReleaseIn()
        argument.handle = handle
        argument.releaseFlags = releaseFlags
        argument.lockOwner = lockOwner
        try call(FuseRequest(directory ? .releasedir : .release, nodeID, argument))
    }

    /// FSYNC or FSYNCDIR.
    package func fsync(
        _ nodeID: NodeID, _ handle: UInt64, dataOnly: Bool = false, directory: Bool = false
    ) throws(Errno) {
        var argument = FsyncIn()
        argument.handle = handle
        argument.flags = dataOnly ? FsyncIn.dataOnly : 0
        try call(FuseRequest(directory ? .fsyncdir : .fsync, nodeID, argument))
    }

    package func fallocate(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64, length: UInt64, mode: UInt32 = 0
    ) throws(Errno) {
        var argument = FallocateIn()
        argument.handle = handle
        argument.offset = offset
        argument.length = length
        argument.mode = mode
        try call(FuseRequest(.fallocate, nodeID, argument))
    }

    /// LSEEK; `whence` is SEEK_DATA (3) or SEEK_HOLE (4).
    package func lseek(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64, whence: UInt32
    ) throws(Errno) -> UInt64 {
        var argument = LseekIn()
        argument.handle = handle
        argument.offset = offset
        argument.whence = whence
        return try call(FuseRequest(.lseek, nodeID, argument), returning: LseekOut.self).offset
    }

    /// COPY_FILE_RANGE_64, or COPY_FILE_RANGE with `narrow`.
    package func copyFileRange(
        _ nodeID: NodeID, _ argument: CopyFileRangeIn, narrow: Bool = false
    ) throws(Errno) -> UInt64 {
        if narrow {
            return UInt64(
                try call(FuseRequest(.copyFileRange, nodeID, argument), returning: WriteOut.self).size)
        }
        return try call(FuseRequest(.copyFileRange64, nodeID, argument), returning: CopyFileRangeOut.self)
            .bytesCopied
    }

    /// IOCTL; returns its result and what it gave back, at most `room` bytes.
    package func ioctl(
        _ nodeID: NodeID, _ handle: UInt64, command: UInt32, input: [UInt8] = [], room: Int = 0,
        flags: UInt32 = 0
    ) throws(Errno) -> (result: Int32, output: [UInt8]) {
        var argument = IoctlIn()
        argument.handle = handle
        argument.flags = flags
        argument.command = command
        argument.inSize = UInt32(clamping: input.count)
        argument.outSize = UInt32(clamping: room)
        var request = FuseRequest(.ioctl, nodeID, argument)
        request.arguments += input
        request.replyBodyByteCount = MemoryLayout<IoctlOut>.size + room
        let body = try call(request)
        guard let out = wireValue(IoctlOut.self, from: body) else { throw .EPROTO }
        return (out.result, Array(body.dropFirst(MemoryLayout<IoctlOut>.size)))
    }

    // MARK: Locks

    package static func lockRequest(
        _ opcode: Opcode, _ nodeID: NodeID, _ handle: UInt64, owner: UInt64, _ lock: FileLock,
        lockFlags: UInt32 = 0
    ) -> FuseRequest {
        var argument = LockIn()
        argument.handle = handle
        argument.owner = owner
        argument.lock = lock
        argument.lockFlags = lockFlags
        return FuseRequest(opcode, nodeID, argument)
    }

    /// SETLK: never waits. `lockFlags` are `LockIn`'s.
    package func setlk(
        _ nodeID: NodeID, _ handle: UInt64, owner: UInt64, _ lock: FileLock, lockFlags: UInt32 = 0
    ) throws(Errno) {
        try call(Self.lockRequest(.setlk, nodeID, handle, owner: owner, lock, lockFlags: lockFlags))
    }

    package func getlk(
        _ nodeID: NodeID, _ handle: UInt64, owner: UInt64, _ lock: FileLock
    ) throws(Errno) -> FileLock {
        try call(Self.lockRequest(.getlk, nodeID, handle, owner: owner, lock), returning: LockOut.self).lock
    }

    /// INTERRUPT of the request with this `unique`. It may be answered or not, so nothing is waited for but its return.
    package func interrupt(_ unique: UInt64) throws(Errno) {
        var argument = InterruptIn()
        argument.unique = unique
        var request = FuseRequest(.interrupt, NodeID(rawValue: 0), argument)
        request.replyBodyByteCount = nil
        _ = try receive(try submit(request))
    }
}
