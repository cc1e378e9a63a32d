// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import GuestMemory
import HostOS
import Testing
import Virtqueue

/// Requests whose buffers lie in the window, as O_DIRECT of a guest makes them: a file is read into the mapping of another.
@Suite(.serialized, .enabled(if: DAXRig.isPossible)) struct BufferTests {
    private let piece = DAXGuest.piece

    /// Where the guest sees a byte of the window.
    private func address(_ offset: Int, _ guest: DAXGuest) -> GuestAddress {
        GuestAddress(guest.frontend.windowAddress(0).rawValue + UInt64(offset))
    }

    /// Sends a request with header and arguments, and data if it has some, in ordinary memory, and buffers of the caller's.
    private func exchange(
        _ guest: DAXGuest, _ request: FuseRequest, readable: GuestBuffer? = nil, writable: GuestBuffer? = nil
    ) throws -> Int {
        let (queue, ram) = (guest.frontend.queues[1], guest.frontend.ram)
        let buffer = guest.frontend.buffers[0]
        var request = request
        request.header.unique = guest.client.makeUnique()
        request.setLengths()
        if let readable { request.header.length += readable.byteCount }
        let bytes = request.message.bytes
        try ram.write(bytes.span, at: buffer.address)
        let reply = buffer.part(at: 4096, byteCount: 16 + (writable == nil ? 8 : 0))
        let ticket = try queue.enqueue(
            readable: [buffer.part(at: 0, byteCount: bytes.count)] + (readable.map { [$0] } ?? []),
            writable: [reply] + (writable.map { [$0] } ?? []))
        queue.notify()
        let done = try queue.wait(for: ticket, until: Deadline(milliseconds: 20_000))
        let header: OutHeader = try #require(
            wireValue(from: try ram.read(16, at: GuestAddress(buffer.address.rawValue + 4096))))
        if header.error != 0 { throw Errno(rawValue: -header.error) }
        return done.written - 16
    }

    private func read(_ node: NodeID, _ handle: UInt64, offset: Int, _ count: Int) -> FuseRequest {
        FuseClient.readRequest(.read, node, handle, offset: UInt64(offset), size: count)
    }

    @Test func readingIntoAMapping() throws {
        let rig = try DAXRig()
        let source = try rig.write("a", DAXRig.bytes(300_000))
        try rig.write("b", [UInt8](repeating: 0xFF, count: 3 << 20))
        let guest = try rig.guest(announces: true)
        try guest.map("b")
        let node = NodeID(rawValue: try guest.lookup("a").nodeID)
        let handle = try guest.client.open(node, flags: UInt32(O_RDONLY)).handle
        let count = try exchange(
            guest, read(node, handle, offset: 100, 200_000),
            writable: GuestBuffer(address(5000, guest), byteCount: 200_000))
        #expect(count == 200_000)
        let target = try rig.read("b")
        #expect(target[4999] == 0xFF && target[205_000] == 0xFF)
        #expect(Array(target[5000..<205_000]) == Array(source[100..<200_100]))

        // From one piece into the next, and what is short at the end.
        let short = try exchange(
            guest, read(node, handle, offset: 290_000, 20_000),
            writable: GuestBuffer(address(piece - 5000, guest), byteCount: 20_000))
        #expect(short == 10_000)
        #expect(Array(try rig.read("b")[piece - 5000..<piece + 5000]) == Array(source[290_000...]))
        #expect(guest.isWell)
    }

    @Test func writingFromAMapping() throws {
        let rig = try DAXRig()
        let source = try rig.write("a", DAXRig.bytes(300_000))
        try rig.write("b", [])
        let guest = try rig.guest(announces: true)
        try guest.map("a")
        let node = NodeID(rawValue: try guest.lookup("b").nodeID)
        let handle = try guest.client.open(node, flags: UInt32(O_RDWR)).handle
        var argument = WriteIn()
        argument.handle = handle
        argument.offset = 10
        argument.size = 200_000
        _ = try exchange(
            guest, FuseRequest(.write, node, argument),
            readable: GuestBuffer(address(777, guest), byteCount: 200_000))
        #expect(try rig.read("b") == [UInt8](repeating: 0, count: 10) + source[777..<200_777])
    }

    /// The file behind the buffer is cut by the host: an error of that request.
    @Test func aBufferWhoseFileWasCut() throws {
        let rig = try DAXRig()
        try rig.write("a", DAXRig.bytes(300_000))
        try rig.write("b", [UInt8](repeating: 0xFF, count: 2 << 20))
        let guest = try rig.guest(announces: true)
        try guest.map("b")
        let node = NodeID(rawValue: try guest.lookup("a").nodeID)
        let handle = try guest.client.open(node, flags: UInt32(O_RDONLY)).handle
        try rig.truncate("b", to: 0)
        do {
            _ = try exchange(
                guest, read(node, handle, offset: 0, 100_000),
                writable: GuestBuffer(address(0, guest), byteCount: 100_000))
        } catch let error as Errno {
            #expect(error == .EFAULT || error == .EIO)
        }
        // Whatever became of it, the daemon serves on.
        #expect(try guest.client.getattr(node).attributes.size == 300_000)
        #expect(try rig.read("b").isEmpty, "and nobody has made the file longer")
        #expect(guest.isWell)
    }

    /// Where nothing is mapped there is no memory.
    @Test func aBufferWhereNothingIs() throws {
        let rig = try DAXRig()
        try rig.write("a", DAXRig.bytes(300_000))
        let guest = try rig.guest(announces: true)
        let node = try guest.map("a")
        try guest.client.removeMapping(node, [(0, UInt64(piece))])
        let handle = try guest.client.open(node, flags: UInt32(O_RDONLY)).handle
        // No chain: its ring ends, and only that.
        #expect(throws: Errno.self) {
            _ = try exchange(
                guest, read(node, handle, offset: 0, 4096),
                writable: GuestBuffer(address(0, guest), byteCount: 4096))
        }
        #expect(guest.daemon.process.end == nil)
    }
}
