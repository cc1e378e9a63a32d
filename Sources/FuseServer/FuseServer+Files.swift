// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

// Operations on open files and directories.
extension FuseServer {
    func open(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: OpenIn = try request.last()
        try request.reserve(OpenOut.self)
        return request.answer(try fileSystem.open(request.caller, nodeID: request.nodeID, arguments))
    }

    func opendir(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: OpenIn = try request.last()
        try request.reserve(OpenOut.self)
        return request.answer(try fileSystem.opendir(request.caller, nodeID: request.nodeID, arguments))
    }

    /// The most that one system call reads or writes: MAX_RW_COUNT of Linux. A reply's length stays below 4 GiB by it.
    private static var maximumTransfer: Int { 0x7fff_f000 }

    func read(_ request: inout Request, _ deferrals: any DeferralSource) throws(Errno) -> Answer {
        var arguments: ReadIn = try request.last()
        let size = min(Int(arguments.size), request.replyData.byteCount, Self.maximumTransfer)
        arguments.size = UInt32(size)
        let count = try fileSystem.read(
            request.caller, nodeID: request.nodeID, arguments, into: request.replyData.shortened(to: size),
            deferrals: deferrals)
        guard 0...size ~= count else { throw .EIO }
        return .direct(count)
    }

    func write(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: WriteIn = try request.last()
        guard Int(arguments.size) == request.data.byteCount, arguments.size <= session.maxWrite else {
            throw request.refuse(.badSize)
        }
        try request.reserve(WriteOut.self)
        let count = try fileSystem.write(
            request.caller, nodeID: request.nodeID, arguments, from: request.data)
        guard 0...Int(arguments.size) ~= count else { throw .EIO }
        return writeAnswer(UInt32(count), request)
    }

    private func writeAnswer(_ size: UInt32, _ request: borrowing Request) -> Answer {
        var reply = WriteOut()
        reply.size = size
        return request.answer(reply)
    }

    func flush(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: FlushIn = try request.last()
        try fileSystem.flush(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func release(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: ReleaseIn = try request.last()
        try fileSystem.release(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func releasedir(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: ReleaseIn = try request.last()
        try fileSystem.releasedir(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func fsync(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: FsyncIn = try request.last()
        try fileSystem.fsync(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func fsyncdir(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: FsyncIn = try request.last()
        try fileSystem.fsyncdir(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func fallocate(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: FallocateIn = try request.last()
        try fileSystem.fallocate(request.caller, nodeID: request.nodeID, arguments)
        return .empty
    }

    func lseek(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: LseekIn = try request.last()
        try request.reserve(LseekOut.self)
        var reply = LseekOut()
        reply.offset = try fileSystem.lseek(request.caller, nodeID: request.nodeID, arguments)
        return request.answer(reply)
    }

    /// The older form counts in 32 bits, so no more than that may be copied.
    func copyFileRange(_ request: inout Request) throws(Errno) -> Answer {
        var arguments: CopyFileRangeIn = try request.last()
        try request.reserve(WriteOut.self)
        arguments.length = min(arguments.length, UInt64(Self.maximumTransfer))
        let copied = try copied(arguments, request)
        return writeAnswer(UInt32(clamping: copied), request)
    }

    func copyFileRange64(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: CopyFileRangeIn = try request.last()
        try request.reserve(CopyFileRangeOut.self)
        var reply = CopyFileRangeOut()
        reply.bytesCopied = try copied(arguments, request)
        return request.answer(reply)
    }

    private func copied(_ arguments: CopyFileRangeIn, _ request: borrowing Request) throws(Errno) -> UInt64 {
        let count = try fileSystem.copyFileRange(request.caller, nodeID: request.nodeID, arguments)
        guard count <= arguments.length else { throw .EIO }
        return count
    }

    func ioctl(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: IoctlIn = try request.fixed()
        let input = try unsafe request.rest(count: UInt64(arguments.inSize))
        guard arguments.flags & IoctlIn.unrestricted == 0 else { throw .ENOTTY }
        let headSize = MemoryLayout<IoctlOut>.size
        try request.reserve(headSize + Int(arguments.outSize))
        var output = request.replyBuffer(from: headSize, limit: Int(arguments.outSize))
        var head = IoctlOut()
        head.result = try unsafe fileSystem.ioctl(
            request.caller, nodeID: request.nodeID, arguments, input: input, into: &output)
        _ = request.answer(head)
        return .body(headSize + output.count)
    }

    func readdir(_ request: inout Request) throws(Errno) -> Answer {
        var arguments: ReadIn = try request.last()
        var reply = directoryBuffer(&arguments, request)
        try fileSystem.readdir(request.caller, nodeID: request.nodeID, arguments, into: &reply)
        return .body(reply.count)
    }

    func readdirplus(_ request: inout Request) throws(Errno) -> Answer {
        var arguments: ReadIn = try request.last()
        var reply = directoryBuffer(&arguments, request)
        try fileSystem.readdirplus(request.caller, nodeID: request.nodeID, arguments, into: &reply)
        return .body(reply.count)
    }

    /// As much room as the guest asks for and there is; `arguments.size` says as much.
    private func directoryBuffer(_ arguments: inout ReadIn, _ request: borrowing Request) -> ReplyBuffer {
        let reply = request.replyBuffer(limit: Int(arguments.size))
        arguments.size = UInt32(clamping: reply.capacity)
        return reply
    }

    func getlk(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: LockIn = try request.last()
        try request.reserve(LockOut.self)
        var reply = LockOut()
        reply.lock = try fileSystem.getlk(request.caller, nodeID: request.nodeID, arguments)
        return request.answer(reply)
    }

    func setlk(_ request: inout Request, wait: Bool, _ deferrals: any DeferralSource) throws(Errno) -> Answer
    {
        let arguments: LockIn = try request.last()
        switch try fileSystem.setlk(
            request.caller, nodeID: request.nodeID, arguments, wait: wait, deferrals: deferrals)
        {
        case .done: return .empty
        case .deferred: return .deferred
        }
    }
}
