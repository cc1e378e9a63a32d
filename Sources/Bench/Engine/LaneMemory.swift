// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import GuestMemory
import Virtqueue

/// A lane's piece of guest memory and the chain of its current request in it.
///
/// Requests are put together in, and replies copied to, private memory: the device may write to the shared one at any time.
struct LaneMemory {
    private static let page = 4096
    /// Before it lies the indirect table.
    private static let requestOffset = 3 * page
    private static let replyOffset = 4 * page
    private static let dataOffset = 5 * page
    /// How large the buffer has to be.
    static let byteCount = dataOffset + Script.maximumDataByteCount

    private let buffer: RAMBuffer
    private let table: IndirectTable
    private var readable: Direction
    private var writable: Direction
    private var request = [UInt8](repeating: 0, count: page)
    private var requestByteCount = 0
    /// What was copied of the last reply.
    private var reply = [UInt8](repeating: 0, count: page)

    init(_ buffer: RAMBuffer) {
        self.buffer = buffer
        table = buffer.table(at: 0, descriptors: Self.requestOffset / 16)
        readable = Direction(buffer, head: Self.requestOffset, headerByteCount: MemoryLayout<InHeader>.size)
        writable = Direction(buffer, head: Self.replyOffset, headerByteCount: MemoryLayout<OutHeader>.size)
    }

    // MARK: The request

    /// Begins a request: after this come its arguments in order, then `finish`.
    mutating func begin() { requestByteCount = MemoryLayout<InHeader>.size }

    mutating func append(_ value: some BitwiseCopyable) {
        put(value, at: requestByteCount)
        requestByteCount += MemoryLayout.size(ofValue: value)
    }

    /// Bytes as they are.
    mutating func append(bytes: [UInt8]) {
        // By index: an iterator is an allocation in a debug build, where tests count them.
        for index in 0..<bytes.count { request[requestByteCount + index] = bytes[index] }
        requestByteCount += bytes.count
    }

    /// Bytes and a NUL.
    mutating func append(name: [UInt8]) {
        append(bytes: name)
        request[requestByteCount] = 0
        requestByteCount += 1
    }

    private mutating func put<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        precondition(offset + MemoryLayout<T>.size <= request.count, "a request beyond a page")
        // SAFETY: inside the page, as just checked.
        unsafe request.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: value, toByteOffset: offset, as: T.self)
        }
    }

    /// Writes the header with the request's length, and lays out `dataByteCount` bytes of data to send and the room for the
    /// reply.
    mutating func finish(_ header: InHeader, dataByteCount: Int, room: ReplyRoom) {
        var header = header
        header.length = UInt32(clamping: requestByteCount + dataByteCount)
        put(header, at: 0)
        // SAFETY: `copy` checks the bounds.
        unsafe request.span.extracting(..<requestByteCount).withUnsafeBytes {
            unsafe buffer.copy($0, at: Self.requestOffset)
        }
        readable.layOut(
            argumentByteCount: requestByteCount - MemoryLayout<InHeader>.size, dataByteCount: dataByteCount)
        writable.layOut(argumentByteCount: room.argumentByteCount, dataByteCount: room.dataByteCount)
    }

    /// Gives the request to the device.
    func submit(to queue: ChainQueue, token: UInt32) throws(Errno) {
        try queue.submit(
            readable: readable.pieces.span.extracting(readable.range),
            writable: writable.pieces.span.extracting(writable.range), token: token,
            table: queue.takesTables ? table : nil)
    }

    // MARK: The reply

    /// Copies `byteCount` bytes of the reply's header and arguments.
    mutating func fetchReply(byteCount: Int) {
        // SAFETY: the range is checked, and so is what `copy` reads.
        unsafe reply.withUnsafeMutableBytes {
            unsafe buffer.copy(
                from: Self.replyOffset, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<byteCount]))
        }
    }

    /// A struct of what was fetched.
    func replyValue<T: BitwiseCopyable>(_ type: T.Type, at offset: Int = MemoryLayout<OutHeader>.size) -> T {
        // SAFETY: loadUnaligned from a checked span; wire structs are integers, of which every bit pattern is a value.
        unsafe reply.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: type)
    }

    /// Whether the fetched reply has exactly these bytes behind its header.
    func replyHas(_ bytes: [UInt8]) -> Bool {
        for index in 0..<bytes.count where reply[MemoryLayout<OutHeader>.size + index] != bytes[index] {
            return false
        }
        return true
    }

    /// Copies the data of the reply, up to the size of `target`.
    func fetchData(into target: inout [UInt8], byteCount: Int) {
        // SAFETY: as in fetchReply.
        unsafe target.withUnsafeMutableBytes {
            unsafe buffer.copy(
                from: Self.dataOffset, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<byteCount]))
        }
    }
}

/// How much a reply may have behind its header: arguments, then pages of data.
struct ReplyRoom {
    var argumentByteCount = 0
    var dataByteCount = 0
}

/// The device-readable or device-writable half of a chain, cut as Linux does: header, arguments, and every page of data in
/// descriptors of their own (fs/fuse/virtio_fs.c).
private struct Direction {
    private static let page = 4096
    private let header: GuestBuffer
    private let arguments: GuestBuffer
    /// Two places for header and arguments, then the data's pages.
    private(set) var pieces: [GuestBuffer]
    /// Those in use.
    private(set) var range = 0..<0

    init(_ buffer: RAMBuffer, head: Int, headerByteCount: Int) {
        header = buffer.part(at: head, byteCount: headerByteCount)
        arguments = buffer.part(at: head + headerByteCount, byteCount: 0)
        let dataOffset = LaneMemory.byteCount - Script.maximumDataByteCount
        let pages = (0..<Script.maximumDataByteCount / Self.page).map {
            buffer.part(at: dataOffset + $0 * Self.page, byteCount: Self.page)
        }
        pieces = [header, header] + pages
    }

    mutating func layOut(argumentByteCount: Int, dataByteCount: Int) {
        var first = 1
        pieces[1] = header
        if argumentByteCount > 0 {
            first = 0
            pieces[0] = header
            pieces[1] = arguments
            pieces[1].byteCount = UInt32(clamping: argumentByteCount)
        }
        var end = 2
        var rest = dataByteCount
        while rest > 0 {
            pieces[end].byteCount = UInt32(clamping: min(Self.page, rest))
            rest -= Self.page
            end += 1
        }
        range = first..<end
    }
}
