// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

// Operations on the names of a directory.
extension FuseServer {
    func lookup(_ request: inout Request) throws(Errno) -> Answer {
        let (name, special) = try request.component()
        try request.end()
        try request.reserve(EntryOut.self)
        guard let special else {
            return request.answer(
                try fileSystem.lookup(request.caller, parent: request.nodeID, name: name))
        }
        guard session.flags & InitFlags.exportSupport != 0 else { throw request.refuse(.badName) }
        return request.answer(
            try fileSystem.lookupSpecial(request.caller, nodeID: request.nodeID, parent: special == .parent))
    }

    func forget(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: ForgetIn = try request.last()
        fileSystem.forget(request.nodeID, count: arguments.count)
        return .silent
    }

    func batchForget(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: BatchForgetIn = try request.fixed()
        let entryByteCount = MemoryLayout<ForgetOne>.size
        let entries = try unsafe request.rest(count: UInt64(arguments.count) * UInt64(entryByteCount))
        for index in 0..<Int(arguments.count) {
            // SAFETY: `rest` made sure that there are exactly `count` entries.
            let entry = unsafe entries.loadUnaligned(
                fromByteOffset: index * entryByteCount, as: ForgetOne.self)
            fileSystem.forget(NodeID(rawValue: entry.nodeID), count: entry.count)
        }
        return .silent
    }

    func mknod(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: MknodIn = try request.fixed()
        let name = try request.name()
        try request.end()
        try request.reserve(EntryOut.self)
        return request.answer(
            try fileSystem.mknod(request.caller, parent: request.nodeID, name: name, arguments))
    }

    func mkdir(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: MkdirIn = try request.fixed()
        let name = try request.name()
        try request.end()
        try request.reserve(EntryOut.self)
        return request.answer(
            try fileSystem.mkdir(request.caller, parent: request.nodeID, name: name, arguments))
    }

    func symlink(_ request: inout Request) throws(Errno) -> Answer {
        let name = try request.name()
        let target = try request.text(maximum: RequestReader.maximumTargetByteCount, tooLong: .longName)
        try request.end()
        try request.reserve(EntryOut.self)
        return request.answer(
            try fileSystem.symlink(request.caller, parent: request.nodeID, name: name, target: target))
    }

    func link(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: LinkIn = try request.fixed()
        let name = try request.name()
        try request.end()
        try request.reserve(EntryOut.self)
        return request.answer(
            try fileSystem.link(
                request.caller, nodeID: NodeID(rawValue: arguments.oldNodeID), newParent: request.nodeID,
                name: name))
    }

    func unlink(_ request: inout Request) throws(Errno) -> Answer {
        let name = try request.name()
        try request.end()
        try fileSystem.unlink(request.caller, parent: request.nodeID, name: name)
        return .empty
    }

    func rmdir(_ request: inout Request) throws(Errno) -> Answer {
        let name = try request.name()
        try request.end()
        try fileSystem.rmdir(request.caller, parent: request.nodeID, name: name)
        return .empty
    }

    func rename(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: RenameIn = try request.fixed()
        return try rename(&request, newDirectory: arguments.newDirectory, flags: 0)
    }

    func rename2(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: Rename2In = try request.fixed()
        return try rename(&request, newDirectory: arguments.newDirectory, flags: arguments.flags)
    }

    private func rename(
        _ request: inout Request, newDirectory: UInt64, flags: UInt32
    ) throws(Errno) -> Answer {
        let name = try request.name()
        let newName = try request.name()
        try request.end()
        try fileSystem.rename(
            request.caller, parent: request.nodeID, name: name, newParent: NodeID(rawValue: newDirectory),
            newName: newName, flags: flags)
        return .empty
    }

    func readlink(_ request: inout Request) throws(Errno) -> Answer {
        try request.end()
        var reply = request.replyBuffer(limit: RequestReader.maximumTargetByteCount)
        try fileSystem.readlink(request.caller, nodeID: request.nodeID, into: &reply)
        return .body(reply.count)
    }

    func create(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: CreateIn = try request.fixed()
        let name = try request.name()
        try request.end()
        try request.reserve(CreateOut.self)
        return request.answer(
            try fileSystem.create(request.caller, parent: request.nodeID, name: name, arguments))
    }

    func tmpfile(_ request: inout Request) throws(Errno) -> Answer {
        let arguments: CreateIn = try request.fixed()
        // Linux sends "/", and nobody looks at it.
        _ = try request.text(maximum: RequestReader.maximumNameByteCount, tooLong: .longName)
        try request.end()
        try request.reserve(CreateOut.self)
        return request.answer(try fileSystem.tmpfile(request.caller, parent: request.nodeID, arguments))
    }
}
