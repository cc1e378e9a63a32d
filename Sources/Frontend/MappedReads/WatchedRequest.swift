// SPDX-License-Identifier: Apache-2.0
import FuseWire

/// What has to be remembered of a request of the kernel whose answer tells something about a file that may be mapped.
struct WatchedRequest: Sendable {
    /// What the answer has for us.
    enum Answer: Sendable {
        case nothing
        /// `EntryOut` first.
        case entry
        case attributes
        case directory
    }

    var answer = Answer.nothing
    var node: UInt64 = 0
    /// `MappedReads.moment` when it was sent.
    var moment: UInt64 = 0
    /// It counts as a change of `node` until it is answered.
    var isChange = false
    /// Where what it writes begins; nil when it writes nothing.
    var writesFrom: UInt64?

    /// Of a request that nobody watches.
    init() {}

    /// Of a GETATTR of our own.
    init(attributesOf node: UInt64, _ reads: MappedReads) {
        answer = .attributes
        self.node = node
        moment = reads.moment
    }

    /// - Parameter arguments: what follows the request's header, its first 40 bytes at least if there are so many.
    init(_ opcode: Opcode, node: UInt64, _ arguments: UnsafeRawBufferPointer, _ reads: MappedReads) {
        self.node = node
        moment = reads.moment
        switch opcode {
        case .lookup, .mknod, .link, .create, .tmpfile: answer = .entry
        case .getattr: answer = .attributes
        case .readdirplus: answer = .directory
        case .setattr:
            answer = .attributes
            isChange = reads.changeBegan(node, cutsToZero: false)
        case .open:
            let flags = unsafe Self.load(OpenIn.self, from: arguments)?.flags ?? 0
            if flags & Self.truncates != 0 { isChange = reads.changeBegan(node, cutsToZero: true) }
        case .write:
            writesFrom = unsafe Self.load(WriteIn.self, from: arguments)?.offset
            isChange = reads.changeBegan(node, cutsToZero: false)
        case .fallocate, .ioctl: isChange = reads.changeBegan(node, cutsToZero: false)
        case .copyFileRange, .copyFileRange64:
            // The node of the header is read only.
            self.node = unsafe Self.load(CopyTarget.self, from: arguments)?.node ?? 0
            isChange = reads.changeBegan(self.node, cutsToZero: false)
        default: break
        }
    }

    /// O_TRUNC
    private static let truncates: UInt32 = 0o1000

    /// The beginning of `fuse_copy_file_range_in`.
    private struct CopyTarget: BitwiseCopyable {
        var sourceHandle: UInt64
        var sourceOffset: UInt64
        var node: UInt64
    }

    private static func load<T: BitwiseCopyable>(_: T.Type, from bytes: UnsafeRawBufferPointer) -> T? {
        guard bytes.count >= MemoryLayout<T>.size else { return nil }
        return unsafe bytes.loadUnaligned(as: T.self)
    }
}
