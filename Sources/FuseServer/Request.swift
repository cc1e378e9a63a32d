// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire

/// What an operation made of its request.
enum Answer {
    /// A body of so many bytes behind the place of the header in the scratch.
    case body(Int)
    /// So many bytes in the guest's own pages.
    case direct(Int)
    case deferred
    case silent

    static var empty: Answer { .body(0) }
}

/// One request while it is handled: its parts, in order, and where its reply goes.
///
/// What it refuses it remembers in `refusal`, because `throws(Errno)` carries no more than the guest gets to see.
@safe struct Request {
    let header: InHeader
    private(set) var caller: Caller
    private(set) var refusal: WireError? = nil
    /// What WRITE carries.
    let data: DataVector
    /// Where READ puts what it read.
    let replyData: DataVector
    private var reader: RequestReader
    private let message: UnsafeRawBufferPointer
    /// Private memory for the reply's body.
    private let replyBase: UnsafeMutableRawPointer
    /// How long the body may be.
    let replyCapacity: Int

    /// `replyCapacity` bytes from `replyBase` on are there to be written.
    init(
        message: UnsafeRawBufferPointer, data: DataVector, replyBase: UnsafeMutableRawPointer,
        replyCapacity: Int,
        replyData: DataVector
    ) {
        let headerSize = MemoryLayout<InHeader>.size
        if let start = message.baseAddress, message.count >= headerSize {
            // SAFETY: the header is whole, and consists of integers.
            unsafe header = start.loadUnaligned(as: InHeader.self)
            unsafe reader = RequestReader(
                UnsafeRawBufferPointer(start: start + headerSize, count: message.count - headerSize))
        } else {
            unsafe header = Self.headerOf(message)
            unsafe reader = RequestReader(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        caller = Caller(
            uid: header.uid, gid: header.gid, pid: header.pid, unique: Unique(rawValue: header.unique))
        unsafe self.message = message
        self.data = data
        self.replyData = replyData
        unsafe self.replyBase = replyBase
        self.replyCapacity = replyCapacity
    }

    /// Of a message that ends before its header does: zeros for the rest.
    private static func headerOf(_ message: UnsafeRawBufferPointer) -> InHeader {
        var header = InHeader()
        unsafe withUnsafeMutableBytes(of: &header) { unsafe $0.copyMemory(from: message) }
        return header
    }

    var nodeID: NodeID { NodeID(rawValue: header.nodeID) }

    /// Notes why the request is refused; the result is for `throw`.
    mutating func refuse(_ error: WireError) -> Errno {
        refusal = error
        return error.errno
    }

    // ---- the frame ----

    /// Checks the header against what came, and parses extensions; everything left is the operation's.
    ///
    /// `agreedFlags` are `InitFlags`.
    mutating func open(_ opcode: Opcode?, totalByteCount: Int, agreedFlags: UInt64) throws(Errno) {
        let inline = unsafe message.count
        guard inline >= MemoryLayout<InHeader>.size else { throw refuse(.shortHeader) }
        guard UInt64(header.length) == UInt64(clamping: totalByteCount) else { throw refuse(.lengthMismatch) }
        guard opcode == .write || inline == totalByteCount else { throw refuse(.oversize) }
        if header.totalExtensionLength == 0 { return }
        guard let opcode, opcode.mayHaveExtensions else { throw refuse(.badExtension) }
        try readExtensions(agreedFlags: agreedFlags)
    }

    private mutating func readExtensions(agreedFlags: UInt64) throws(Errno) {
        do throws(WireError) {
            let length = reader.remaining - Int(header.totalExtensionLength) * 8
            guard length >= 0 else { throw .badExtension }
            let arguments = try unsafe reader.take(length)
            let extensions = try unsafe RequestExtensions(reader.rest())
            guard extensions.neededFlags & ~agreedFlags == 0 else { throw .badExtension }
            unsafe reader = RequestReader(arguments)
            caller.supplementaryGroup = extensions.group
            if let label = unsafe extensions.label {
                caller.label = unsafe SecurityLabel(name: Text(terminated: label.name), value: label.value)
            }
        } catch {
            throw refuse(error)
        }
    }

    // ---- arguments ----

    /// The next fixed-size struct.
    @inline(__always)
    mutating func fixed<T: BitwiseCopyable>(_ type: T.Type = T.self) throws(Errno) -> T {
        do throws(WireError) { return try reader.take(type) } catch { throw refuse(error) }
    }

    /// The last fixed-size struct.
    @inline(__always)
    mutating func last<T: BitwiseCopyable>(_ type: T.Type = T.self) throws(Errno) -> T {
        let value = try fixed(type)
        try end()
        return value
    }

    @inline(__always)
    mutating func end() throws(Errno) {
        do throws(WireError) { try reader.end() } catch { throw refuse(error) }
    }

    /// The name of an entry of a directory.
    mutating func name() throws(Errno) -> Name {
        do throws(WireError) { return try unsafe Name(terminated: reader.name()) } catch {
            throw refuse(error)
        }
    }

    /// The name of LOOKUP, which may also be "." or "..".
    mutating func component() throws(Errno) -> (name: Name, special: SpecialName?) {
        do throws(WireError) {
            let component = try unsafe reader.component()
            return unsafe (Name(terminated: component.bytes), component.special)
        } catch {
            throw refuse(error)
        }
    }

    /// A byte string that names no entry.
    mutating func text(maximum: Int, tooLong: WireError) throws(Errno) -> Text {
        do throws(WireError) {
            return try unsafe Text(terminated: reader.string(maximum: maximum, tooLong: tooLong))
        } catch {
            throw refuse(error)
        }
    }

    /// The name of an extended attribute.
    mutating func xattrName() throws(Errno) -> Text {
        let name = try text(maximum: RequestReader.maximumXattrNameByteCount, tooLong: .badXattrName)
        guard name.byteCount > 0 else { throw refuse(.badXattrName) }
        return name
    }

    /// Everything that is left, which must be `count` bytes.
    mutating func rest(count: UInt64) throws(Errno) -> UnsafeRawBufferPointer {
        guard UInt64(clamping: reader.remaining) == count else { throw refuse(.badSize) }
        return unsafe reader.rest()
    }

    /// Everything that is left, for INIT, whose length differs between versions.
    mutating func rest(atLeast count: Int) throws(Errno) -> UnsafeRawBufferPointer {
        guard reader.remaining >= count else { throw refuse(.shortBody) }
        return unsafe reader.rest()
    }

    // ---- the reply ----

    /// Refuses an operation whose fixed-size reply would not fit, before it has done anything.
    mutating func reserve<T: BitwiseCopyable>(_ type: T.Type) throws(Errno) {
        try reserve(MemoryLayout<T>.size)
    }

    mutating func reserve(_ byteCount: Int) throws(Errno) {
        guard byteCount <= replyCapacity else { throw refuse(.shortReplyRoom) }
    }

    /// Answers with one struct, for which `reserve` made sure of room.
    func answer<T: BitwiseCopyable>(_ value: T, at offset: Int = 0) -> Answer {
        // SAFETY: reserved, and storeBytes has no alignment demand.
        unsafe replyBase.storeBytes(of: value, toByteOffset: offset, as: T.self)
        return .body(offset + MemoryLayout<T>.size)
    }

    /// A buffer for the part of the body from `offset` on, of at most `limit` bytes.
    func replyBuffer(from offset: Int = 0, limit: Int) -> ReplyBuffer {
        // SAFETY: offset + capacity never exceeds replyCapacity.
        unsafe ReplyBuffer(base: replyBase + offset, capacity: max(0, min(limit, replyCapacity - offset)))
    }
}

extension Name {
    /// Wraps what `RequestReader` checked; its NUL follows.
    init(terminated bytes: UnsafeRawBufferPointer) {
        let text = unsafe Text(terminated: bytes)
        unsafe self.init(checked: text.cString, byteCount: text.byteCount)
    }
}

extension Text {
    /// Wraps what `RequestReader` found; its NUL follows.
    init(terminated bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { fatalError("a string of a request has no address") }
        unsafe self.init(checked: base.assumingMemoryBound(to: CChar.self), byteCount: bytes.count)
    }
}
