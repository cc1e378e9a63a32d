// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import GuestMemory
import Virtqueue

/// A lane's piece of guest memory and the chain of its current request in it.
///
/// Requests are put together in, and replies copied to, private memory: the device may write to the shared one at any time.
@safe final class LaneMemory {
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
    private let request = UnsafeMutableRawBufferPointer.allocate(byteCount: page, alignment: 8)
    private var requestByteCount = 0
    /// What was copied of the last reply.
    private let reply = UnsafeMutableRawBufferPointer.allocate(byteCount: page, alignment: 8)

    init(_ buffer: RAMBuffer) {
        self.buffer = buffer
        table = buffer.table(at: 0, descriptors: Self.requestOffset / 16)
        readable = Direction(buffer, head: Self.requestOffset, headerByteCount: MemoryLayout<InHeader>.size)
        writable = Direction(buffer, head: Self.replyOffset, headerByteCount: MemoryLayout<OutHeader>.size)
        unsafe reply.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        unsafe request.deallocate()
        unsafe reply.deallocate()
    }

    // MARK: The request

    /// Begins a request: after this come its arguments in order, then `finish`.
    func begin() { requestByteCount = MemoryLayout<InHeader>.size }

    @inline(__always) func append(_ value: some BitwiseCopyable) {
        put(value, at: requestByteCount)
        requestByteCount += MemoryLayout.size(ofValue: value)
    }

    /// Bytes as they are.
    func append(bytes: [UInt8]) {
        unsafe precondition(bytes.count <= request.count - requestByteCount, "a request beyond a page")
        // SAFETY: inside the page, as just checked.
        unsafe bytes.withUnsafeBytes {
            unsafe UnsafeMutableRawBufferPointer(rebasing: request[requestByteCount...]).copyMemory(from: $0)
        }
        requestByteCount += bytes.count
    }

    /// Bytes and a NUL.
    func append(name: [UInt8]) {
        append(bytes: name)
        append(UInt8(0))
    }

    private func put<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        unsafe precondition(offset + MemoryLayout<T>.size <= request.count, "a request beyond a page")
        // SAFETY: inside the page, as just checked.
        unsafe request.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    /// Writes the header with the request's length, and lays out `dataByteCount` bytes of data to send and the room for the
    /// reply.
    func finish(_ header: InHeader, dataByteCount: Int, room: ReplyRoom) {
        var header = header
        header.length = UInt32(clamping: requestByteCount + dataByteCount)
        put(header, at: 0)
        // SAFETY: `copy` checks the bounds.
        unsafe buffer.copy(
            UnsafeRawBufferPointer(rebasing: request[..<requestByteCount]), at: Self.requestOffset)
        readable.layOut(
            argumentByteCount: requestByteCount - MemoryLayout<InHeader>.size, dataByteCount: dataByteCount)
        writable.layOut(argumentByteCount: room.argumentByteCount, dataByteCount: room.dataByteCount)
    }

    /// Gives the request to the device.
    func submit(to queue: ChainQueue, token: UInt32) throws(Errno) {
        let (readable, writable) = (readable, writable)
        try queue.submit(
            readable: readable.pieces.span.extracting(readable.range),
            writable: writable.pieces.span.extracting(writable.range), token: token,
            table: queue.takesTables ? table : nil)
    }

    // MARK: The reply

    /// Copies `byteCount` bytes of the reply's header and arguments.
    func fetchReply(byteCount: Int) {
        // SAFETY: the range is checked, and so is what `copy` reads.
        unsafe buffer.copy(
            from: Self.replyOffset, into: UnsafeMutableRawBufferPointer(rebasing: reply[..<byteCount]))
    }

    /// A struct of what was fetched.
    func replyValue<T: BitwiseCopyable>(_ type: T.Type, at offset: Int = MemoryLayout<OutHeader>.size) -> T {
        unsafe precondition(offset + MemoryLayout<T>.size <= reply.count, "a reply beyond a page")
        // SAFETY: inside the page; wire structs are integers, of which every bit pattern is a value.
        return unsafe reply.loadUnaligned(fromByteOffset: offset, as: type)
    }

    /// Whether the fetched reply has exactly these bytes behind its header.
    func replyHas(_ bytes: [UInt8]) -> Bool {
        let start = MemoryLayout<OutHeader>.size
        for index in 0..<bytes.count where unsafe reply[start + index] != bytes[index] { return false }
        return true
    }

    /// Copies the data of the reply, up to the size of `target`.
    func fetchData(into target: inout [UInt8], byteCount: Int) {
        // SAFETY: the range is checked.
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
