// SPDX-License-Identifier: Apache-2.0
import Errors
import FuseWire
import Glibc
import HostOS
import Testing

@testable import Frontend

/// One thread of a bridge that uses a window: the test is the kernel at one end, the daemon at the other. Node 9 is a file of
/// `ScratchFile`'s bytes that is to be mapped.
final class MappedReadBench {
    let window: SharedMemoryWindow
    let reads: MappedReads
    let file: ScratchFile
    private let kernel: OwnedDescriptor
    private let channel: OwnedDescriptor
    private let lane: LaneBench
    private let forgets: LaneBench
    private let stop: EventFD
    private let thread: HostOS.Thread
    private var nextUnique: UInt64 = 2

    struct Request {
        let opcode: Opcode?
        let header: InHeader
        let body: [UInt8]
    }
    /// What the daemon has been asked and told, in order.
    private(set) var log: [Request] = []
    var size: UInt64
    /// Refuses to map.
    var refuses = false
    /// Says that it has mapped, and has not.
    var lies = false
    /// Answers SETUPMAPPING by an error that is none.
    var babbles = false

    static let node: UInt64 = 9
    /// What the daemon answers to a READ, as no page of the file is.
    static let fromDaemon: UInt8 = 0xEE

    init(pages: Int = 1024, ranges: Int = 4) throws {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_NONBLOCK.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
        kernel = OwnedDescriptor(adopting: ends[0])
        channel = OwnedDescriptor(adopting: ends[1])
        file = try ScratchFile(pages: pages)
        size = UInt64(pages) * 4096
        stop = try EventFD()
        window = try SharedMemoryWindow(id: 0, byteCount: ranges * Int(RangeTable.rangeByteCount))
        reads = try #require(MappedReads(window, atMost: .max))
        (lane, forgets) = (try LaneBench(buffers: 9), try LaneBench())
        let pool = BufferPool(Array(lane.buffers.dropFirst()))
        let all = [Lane(queue: lane.queue, arena: lane.buffers[0], pool: pool)]
        let parts = BridgeParts(
            lanes: all, pool: pool,
            forgets: ForgetQueue(queue: forgets.queue, arena: forgets.buffers[0], stop: stop),
            interrupts: Interrupts(lanes: all), stop: stop, reads: reads)
        let number = channel.rawValue
        thread = try HostOS.Thread(name: "worker") {
            let end = try? BridgeWorker(parts, lane: all[0], channel: number).run()
            if end != .stopped { Issue.record("a worker ended: \(String(describing: end))") }
        }
    }

    deinit {
        stop.signal()
        thread.join()
    }

    // MARK: The kernel

    @discardableResult
    func send(_ opcode: Opcode, _ node: UInt64, _ body: [UInt8]) throws -> UInt64 {
        var header = InHeader()
        header.opcode = opcode.rawValue
        header.nodeID = node
        header.unique = nextUnique
        header.length = UInt32(40 + body.count)
        nextUnique += 2
        let bytes = OrdinaryAnswers.bytes(header) + body
        let count = bytes.withUnsafeBytes { Glibc.send(kernel.rawValue, $0.baseAddress, $0.count, 0) }
        try #require(count == bytes.count)
        return header.unique
    }

    /// Waits for an answer, while the daemon does its work.
    func receive() throws -> (header: OutHeader, body: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: 16 + 1 << 20)
        var count = 0
        try wait {
            count = recv(kernel.rawValue, &buffer, buffer.count, 0)
            return count >= 0
        }
        return (OrdinaryAnswers.load(OutHeader.self, buffer), Array(buffer[16..<count]))
    }

    func exchange(_ opcode: Opcode, _ node: UInt64, _ body: [UInt8]) throws -> [UInt8] {
        let unique = try send(opcode, node, body)
        let answer = try receive()
        #expect(answer.header.unique == unique)
        #expect(answer.header.error == 0)
        return answer.body
    }

    /// Has node 9 looked up, and waits for the daemon's answer to reach the kernel.
    func lookup() throws { _ = try exchange(.lookup, 1, Array("f\0".utf8)) }

    static func readBody(_ offset: UInt64, _ count: Int) -> [UInt8] {
        var read = ReadIn()
        read.offset = offset
        read.size = UInt32(count)
        return OrdinaryAnswers.bytes(read)
    }

    func read(_ offset: UInt64, _ count: Int = 4096) throws -> [UInt8] {
        try exchange(.read, Self.node, Self.readBody(offset, count))
    }

    /// Reads until an answer comes from the window; false when it never does.
    func readMapped(_ offset: UInt64, _ count: Int = 4096) throws -> [UInt8] {
        for _ in 0..<100 {
            let hits = reads.counts.hits
            let bytes = try read(offset, count)
            if reads.counts.hits > hits { return bytes }
        }
        Issue.record("nothing comes from the window")
        return []
    }

    // MARK: The daemon

    /// Lets the daemon work until something is so.
    func wait(_ condition: () throws -> Bool) throws {
        let deadline = Deadline(milliseconds: MountBench.deadline)
        while try !condition() {
            try #require(
                !deadline.hasPassed, "it does not come: \(log.map { String(describing: $0.opcode) })")
            let one = try lane.serve(carryOut)
            let other = try forgets.serve { header, body in
                log.append(Request(opcode: Opcode(rawValue: header.opcode), header: header, body: body))
                return nil
            }
            if !one && !other { usleep(100) }
        }
    }

    func seen(_ opcode: Opcode) -> [Request] { log.filter { $0.opcode == opcode } }

    private func carryOut(_ header: InHeader, _ body: [UInt8]) throws -> Result<[UInt8], Errno>? {
        let request = Request(opcode: Opcode(rawValue: header.opcode), header: header, body: body)
        log.append(request)
        switch request.opcode {
        case .lookup:
            var entry = EntryOut()
            entry.nodeID = Self.node
            entry.attributes = attributes
            return .success(OrdinaryAnswers.bytes(entry))
        case .getattr, .setattr:
            var reply = AttrOut()
            if request.opcode == .setattr { size = OrdinaryAnswers.load(SetAttrIn.self, body).size }
            reply.attributes = attributes
            return .success(OrdinaryAnswers.bytes(reply))
        case .readdirplus:
            var (entry, name) = (EntryOut(), Dirent())
            entry.nodeID = Self.node
            entry.attributes = attributes
            name.nameLength = 3
            // Two entries, of which the first is one that the kernel is not to keep.
            let nothing = OrdinaryAnswers.bytes(EntryOut()) + OrdinaryAnswers.bytes(name)
            let tail = Array("abc".utf8) + [0, 0, 0, 0, 0]
            return .success(
                nothing + tail + OrdinaryAnswers.bytes(entry) + OrdinaryAnswers.bytes(name) + tail)
        case .read:
            let count = Int(OrdinaryAnswers.load(ReadIn.self, body).size)
            return .success([UInt8](repeating: Self.fromDaemon, count: count))
        case .write:
            var reply = WriteOut()
            reply.size = OrdinaryAnswers.load(WriteIn.self, body).size
            return .success(OrdinaryAnswers.bytes(reply))
        case .setupMapping:
            if refuses { return .failure(.ENOSPC) }
            if lies { return .success([]) }
            if babbles { return .failure(Errno(rawValue: 1000)) }
            let setup = OrdinaryAnswers.load(SetupMappingIn.self, body)
            try window.map(
                file.number, fileOffset: setup.fileOffset, at: setup.windowOffset, length: setup.length,
                writable: true)
            return .success([])
        case .removeMapping:
            if lies { return .failure(.EINVAL) }
            for start in stride(from: 4, to: body.count, by: 16) {
                let one = OrdinaryAnswers.load(RemoveMappingOne.self, Array(body[start...]))
                try window.unmap(exactly: one.windowOffset, length: one.length)
            }
            return .success([])
        default: return .success([])
        }
    }

    private var attributes: Attributes {
        var result = OrdinaryAnswers.attributes(Self.node)
        result.size = size
        result.flags = AttributeFlags.dax
        return result
    }
}
