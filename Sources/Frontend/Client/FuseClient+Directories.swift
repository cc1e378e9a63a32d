// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// One record of a READDIR or READDIRPLUS reply.
package struct DirectoryRecord: Sendable {
    package let dirent: Dirent
    package let name: [UInt8]
    /// READDIRPLUS only; nodeID 0 when nothing is said about the entry.
    package let entry: EntryOut?
}

/// Requests about open directories.
extension FuseClient {
    package func opendir(_ nodeID: NodeID, flags: UInt32 = 0) throws(Errno) -> OpenOut {
        var argument = OpenIn()
        argument.flags = flags
        return try call(FuseRequest(.opendir, nodeID, argument), returning: OpenOut.self)
    }

    /// READDIR, or READDIRPLUS: the records of one reply, none at the end.
    package func readdir(
        _ nodeID: NodeID, _ handle: UInt64, offset: UInt64 = 0, size: Int = 4096, plus: Bool = false
    ) throws(Errno) -> [DirectoryRecord] {
        let request = Self.readRequest(
            plus ? .readdirplus : .readdir, nodeID, handle, offset: offset, size: size)
        guard let records = Self.parseRecords(try call(request), plus: plus) else { throw .EPROTO }
        return records
    }

    /// The whole directory, in as many requests as it takes. EPROTO when the device does not get on.
    package func readAll(
        _ nodeID: NodeID, _ handle: UInt64, size: Int = 4096, plus: Bool = false
    ) throws(Errno) -> [DirectoryRecord] {
        var all: [DirectoryRecord] = []
        while true {
            let offset = all.last?.dirent.offset ?? 0
            let some = try readdir(nodeID, handle, offset: offset, size: size, plus: plus)
            guard let last = some.last else { return all }
            guard last.dirent.offset != offset else { throw .EPROTO }
            all += some
        }
    }

    /// The records of a reply's body; nil when it is none that Linux accepts (fs/fuse/readdir.c): whole records, each
    /// name 1…1024 bytes without "/".
    package static func parseRecords(_ body: [UInt8], plus: Bool) -> [DirectoryRecord]? {
        var records: [DirectoryRecord] = []
        var rest = body[...]
        while !rest.isEmpty {
            var entry: EntryOut?
            if plus {
                guard let value = wireValue(EntryOut.self, from: rest) else { return nil }
                entry = value
                rest = rest.dropFirst(MemoryLayout<EntryOut>.size)
            }
            guard let dirent = wireValue(Dirent.self, from: rest) else { return nil }
            rest = rest.dropFirst(MemoryLayout<Dirent>.size)
            let length = Int(dirent.nameLength)
            guard (1...1024).contains(length), rest.count >= (length + 7) / 8 * 8 else { return nil }
            let name = Array(rest.prefix(length))
            guard !name.contains(UInt8(ascii: "/")) else { return nil }
            rest = rest.dropFirst((length + 7) / 8 * 8)
            records.append(DirectoryRecord(dirent: dirent, name: name, entry: entry))
        }
        return records
    }
}
