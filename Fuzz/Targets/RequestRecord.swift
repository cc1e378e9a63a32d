// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// One request as an input describes it, so that most bytes of an input are worth something: the header is made, and
/// nodes and handles are chosen among those that the daemon has told.
/// ```
/// u8 quirks; u8 opcode; u8 node; u8 extra; u16 length; u8 body[length]
/// ```
struct RequestRecord {
    /// What is unusual about the request; most use `extra`.
    struct Quirks: OptionSet {
        let rawValue: UInt8
        /// The header's length is off by `extra`.
        static let wrongLength = Quirks(rawValue: 1)
        /// The node is not chosen: slot `node` with generation `extra`.
        static let forgedNode = Quirks(rawValue: 2)
        /// Handles and nodes in the body stay as they are.
        static let rawBody = Quirks(rawValue: 4)
        /// The header announces extensions of `extra` eight-byte units.
        static let extensions = Quirks(rawValue: 8)
        /// There is room for twice `extra` bytes of reply.
        static let tightReply = Quirks(rawValue: 16)
        /// Somebody else asks than root.
        static let user = Quirks(rawValue: 32)
        /// The request ends after `extra` bytes.
        static let cut = Quirks(rawValue: 64)
        /// The data of a WRITE comes in pieces of `extra` bytes, and the reply's room too.
        static let pieces = Quirks(rawValue: 128)
    }

    var quirks: Quirks
    var opcode: UInt8
    var node: UInt8
    var extra: UInt8
    var body: [UInt8]

    init(
        _ opcode: Opcode, node: UInt8 = 0, _ body: [UInt8] = [], quirks: Quirks = [], extra: UInt8 = 0
    ) {
        (self.quirks, self.opcode, self.node, self.extra) = (quirks, UInt8(opcode.rawValue), node, extra)
        self.body = body
    }

    init(beside what: Beside, node: UInt8, extra: UInt8) {
        (quirks, opcode, self.node, self.extra, body) = ([], what.rawValue, node, extra, [])
    }

    init(_ input: inout FuzzInput) {
        quirks = Quirks(rawValue: input.byte())
        opcode = input.byte()
        node = input.byte()
        extra = input.byte()
        body = Array(input.take(Int(input.number(UInt16.self))))
    }

    var encoded: [UInt8] {
        var bytes = FuzzBytes()
        bytes.append([quirks.rawValue, opcode, node, extra])
        bytes.append(UInt16(body.count))
        bytes.append(body)
        return bytes.bytes
    }

    /// The writable bytes of the request's chain.
    var replyCapacity: Int { quirks.contains(.tightReply) ? 2 * Int(extra) : 16 + 8192 }

    /// The sizes of the pieces in which bulk data lies.
    var pieceByteCount: Int { quirks.contains(.pieces) ? max(1, Int(extra)) : 4096 }

    /// The request's bytes.
    func message(unique: UInt64, known: KnownObjects) -> [UInt8] {
        var body = body
        if !quirks.contains(.rawBody) { choose(in: &body, known) }
        var bytes = FuzzBytes()
        let total = UInt32(40 + body.count)
        bytes.append(quirks.contains(.wrongLength) ? total ^ UInt32(extra) : total)
        bytes.append(UInt32(opcode))
        bytes.append(unique)
        bytes.append(
            quirks.contains(.forgedNode) ? UInt64(node) | UInt64(extra) << 32 : known.node(node))
        let user: UInt32 = [1000, 65534, .max, 1][Int(extra) % 4]
        bytes.append(quirks.contains(.user) ? user : 0)
        bytes.append(quirks.contains(.user) ? user : 0)
        bytes.append(UInt32(77))
        bytes.append(UInt16(quirks.contains(.extensions) ? UInt16(extra) : 0))
        bytes.append(UInt16(0))
        bytes.append(body)
        return quirks.contains(.cut) ? Array(bytes.bytes.prefix(Int(extra))) : bytes.bytes
    }

    /// Puts what the daemon has told where the body names nodes and handles; the byte there chooses.
    private func choose(in body: inout [UInt8], _ known: KnownObjects) {
        func put(_ offset: Int, _ value: (UInt8) -> UInt64) {
            guard body.count >= offset + 8 else { return }
            let chosen = value(body[offset])
            withUnsafeBytes(of: chosen.littleEndian) { body.replaceSubrange(offset..<offset + 8, with: $0) }
        }
        switch Opcode(rawValue: UInt32(opcode)) {
        case .read, .write, .release, .fsync, .flush, .readdir, .readdirplus, .releasedir, .fsyncdir, .getlk,
            .setlk, .setlkw, .ioctl, .poll, .fallocate, .lseek:
            put(0, known.handle)
        case .getattr, .setattr, .statx: put(8, known.handle)
        case .rename, .rename2, .link: put(0, known.node)
        case .copyFileRange, .copyFileRange64:
            put(0, known.handle)
            put(16, known.node)
            put(24, known.handle)
        case .batchForget: for offset in stride(from: 8, to: body.count, by: 16) { put(offset, known.node) }
        default: break
        }
    }
}

/// Nodes and handles that the daemon has told in this session.
struct KnownObjects {
    private var nodes: [UInt64] = [1]
    private var handles: [UInt64] = [0]

    func node(_ choice: UInt8) -> UInt64 { nodes[Int(choice) % nodes.count] }
    func handle(_ choice: UInt8) -> UInt64 { handles[Int(choice) % handles.count] }

    /// Reads them out of a reply without an error.
    mutating func learn(_ opcode: Opcode, _ body: UnsafeRawBufferPointer) {
        func number(_ offset: Int) -> UInt64? {
            body.count < offset + 8 ? nil : body.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
        switch opcode {
        case .lookup, .mknod, .mkdir, .symlink, .link: add(node: number(0))
        case .create, .tmpfile:
            add(node: number(0))
            add(handle: number(MemoryLayout<EntryOut>.size))
        case .open, .opendir: add(handle: number(0))
        default: break
        }
    }

    private mutating func add(node: UInt64?) {
        guard let node, node != 0, nodes.count < 256, !nodes.contains(node) else { return }
        nodes.append(node)
    }

    private mutating func add(handle: UInt64?) {
        guard let handle, handles.count < 256 else { return }
        if handles == [0] { handles = [handle] } else { handles.append(handle) }
    }
}
