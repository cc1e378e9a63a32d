// SPDX-License-Identifier: Apache-2.0
import FuseServer
import FuseWire

/// What holds for every reply, whatever was asked: what the guest's kernel checks, and more.
struct ReplyCheck {
    let message: [UInt8]
    let capacity: Int

    private var opcode: Opcode? {
        message.count < 40
            ? nil
            : message.withUnsafeBytes {
                Opcode(rawValue: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            }
    }

    /// Looks at a reply that begins in `scratch`. Returns its opcode and body if it is a success with a body in `scratch`.
    func check(_ outcome: Outcome, scratch: UnsafeRawBufferPointer) throws(Broken)
        -> (opcode: Opcode, body: UnsafeRawBufferPointer)?
    {
        guard case .reply(let inScratch, let direct) = outcome else {
            switch outcome {
            case .noReply: try demand(capacity < 16 || opcode?.isSilent == true, "no reply to \(text)")
            case .deferred: try demand(opcode == .setlkw || opcode == .setlk, "\(text) was deferred")
            default: throw Broken("\(text) would have to wait: \(outcome)")
            }
            return nil
        }
        try demand(inScratch >= 16 && direct >= 0, "\(text): a reply of \(inScratch) and \(direct) bytes")
        try demand(inScratch + direct <= capacity, "\(text): a longer reply than there is room")
        try demand(direct == 0 || opcode == .read, "\(text) has a body in the guest's pages")
        let header = scratch.loadUnaligned(as: OutHeader.self)
        try demand(Int(header.length) == inScratch + direct, "\(text): length \(header.length)")
        try demand(-511...0 ~= header.error, "\(text): error \(header.error)")
        try demand(header.error == 0 || header.length == 16, "\(text): an error with a body")
        if message.count >= 16 {
            let unique = message.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self) }
            try demand(header.unique == unique, "\(text): unique \(header.unique) instead of \(unique)")
        }
        guard header.error == 0, let opcode else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: scratch[16..<inScratch])
        switch opcode {
        case .lookup, .mknod, .mkdir, .symlink, .link: try checkSize(body, MemoryLayout<EntryOut>.size)
        case .create, .tmpfile: try checkSize(body, MemoryLayout<EntryOut>.size + 16)
        case .getattr, .setattr: try checkSize(body, MemoryLayout<AttrOut>.size)
        case .open, .opendir: try checkSize(body, 16)
        case .write: try checkSize(body, 8)
        case .readdir: try checkEntries(body, lead: 0)
        case .readdirplus: try checkEntries(body, lead: MemoryLayout<EntryOut>.size)
        default: break
        }
        return (opcode, body)
    }

    private var text: String { "request \(message.prefix(256))" }

    private func checkSize(_ body: UnsafeRawBufferPointer, _ size: Int) throws(Broken) {
        try demand(body.count == size, "\(text): a body of \(body.count) bytes instead of \(size)")
    }

    /// fuse_dirent, each behind `lead` bytes of an entry: whole, aligned, with names that can be names.
    private func checkEntries(_ body: UnsafeRawBufferPointer, lead: Int) throws(Broken) {
        var position = 0
        while position < body.count {
            let start = position + lead
            try demand(body.count - start >= 24, "\(text): an entry is cut")
            let length = Int(body.loadUnaligned(fromByteOffset: start + 16, as: UInt32.self))
            try demand(1...255 ~= length, "\(text): a name of \(length) bytes")
            position = (start + 24 + length + 7) / 8 * 8
            try demand(position <= body.count, "\(text): a name is cut")
            let name = body[start + 24..<start + 24 + length]
            try demand(!name.contains(0) && !name.contains(0x2f), "\(text): \(Array(name)) is no name")
        }
    }
}
