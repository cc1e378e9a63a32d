// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import VhostUser

extension HostileCase {
    /// Every length field of the vhost-user messages: the payload's, those of tables and windows in it, and descriptors.
    static let t05 = HostileCase(
        name: "T05", title: "no vhost-user message, of whatever length, does more than end its connection"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        func message(_ request: UInt32, _ announced: UInt32, _ payload: [UInt8]) -> [UInt8] {
            [request, 9, announced].flatMap { wireBytes(of: $0) } + payload
        }
        func number(_ values: UInt32...) -> [UInt8] { values.flatMap { wireBytes(of: $0) } }
        var messages: [(String, [UInt8])] = []
        for request in (1...44 as ClosedRange<UInt32>) {
            for size in [0, 1, 7, 8, 9, 39, 40, 41] as [UInt32] {
                messages.append(
                    ("\(request)", message(request, size, [UInt8](repeating: 0xff, count: Int(size)))))
            }
        }
        for announced: UInt32 in [4096, 1 << 20, 1 << 31, .max] {
            messages.append(("a payload of \(announced) bytes", message(2, announced, [1, 2, 3])))
        }
        for count: UInt32 in [0, 1, 2, 9, 255, .max] {
            messages.append(
                (
                    "a memory table of \(count)",
                    message(5, 40, number(count, 0) + [UInt8](repeating: 1, count: 32))
                ))
            messages.append(("configuration of \(count) bytes", message(24, 12, number(0, count, 0))))
        }
        for (what, bytes) in messages {
            let connection = try rig.socketConnection()
            let sent = bytes.withUnsafeBytes {
                vfs_send_fds(connection.rawValue, $0.baseAddress, $0.count, nil, 0)
            }
            guard sent == bytes.count else { continue }
            shutdown(connection.rawValue, Int32(SHUT_WR))
            var answer = [UInt8](repeating: 0, count: 512)
            while waitReadable(connection.rawValue, timeoutMilliseconds: 5000) != 0,
                read(connection.rawValue, &answer, answer.count) > 0
            {}
            guard
                let end = rig.end(milliseconds: 0)
                    ?? (opponent.outlivesFrontends ? nil : rig.end(milliseconds: 2000))
            else { continue }
            if opponent.outlivesFrontends || end != .exited(0) && end != .exited(1) {
                verdict.fail("request \(what) ends the daemon: \(end)")
            }
        }
        verdict.expect(rig.isHealthy(), else: "the daemon does not serve any more")
    }

    /// Requests of a wrong form.
    static let t09 = HostileCase(
        name: "T09", title: "a malformed request costs that request and nothing else"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent)
        try rig.write("file", "x")
        func request(_ opcode: Opcode, _ arguments: [UInt8], room: Int = 128) -> FuseRequest {
            var request = FuseRequest(opcode, .root)
            request.arguments = arguments
            request.replyBodyByteCount = room
            request.setLengths()
            return request
        }
        func changed(_ change: (inout FuseRequest) -> Void) -> RequestMessage {
            var request = request(.getattr, [UInt8](repeating: 0, count: 16))
            change(&request)
            return request.message
        }
        func short(_ count: Int) -> RequestMessage {
            var message = request(.getattr, [UInt8](repeating: 0, count: 16)).message
            message = RequestMessage(
                Array(message.bytes.prefix(count)), replyByteCount: message.replyByteCount)
            return message
        }
        func room(_ byteCount: Int) -> RequestMessage {
            RequestMessage(
                request(.getattr, [UInt8](repeating: 0, count: 16)).message.bytes, replyByteCount: byteCount)
        }
        var write = WriteIn()
        write.size = 4096
        let shapes: [(String, RequestMessage)] = [
            ("a name without NUL", request(.lookup, Array("file".utf8)).message),
            ("a name with a NUL inside", request(.lookup, Array("a\0b\0".utf8)).message),
            ("a length that is too large", changed { $0.header.length += 8 }),
            ("a length that is too small", changed { $0.header.length -= 8 }),
            ("a length of 0", changed { $0.header.length = 0 }),
            ("a header that is cut", short(20)),
            ("an empty request", short(0)),
            (
                "arguments that are cut",
                changed {
                    $0.arguments.removeLast(9); $0.setLengths()
                }
            ),
            ("no room for the attributes", room(16 + 8)),
            ("room for half a header", room(8)),
            ("extensions longer than the request", changed { $0.header.totalExtensionLength = 0xffff }),
            ("an opcode that does not exist", changed { $0.header.opcode = 999 }),
            ("a WRITE without its data", request(.write, wireBytes(of: write), room: 8).message),
            (
                "a BATCH_FORGET of four billion",
                request(.batchForget, wireBytes(of: UInt64(0xffff_ffff))).message
            ),
        ]
        for (what, message) in shapes {
            let guest = try rig.guest()
            let queue = guest.frontend.queues[1]
            verdict.expectSuccess(of: what) {
                _ = try queue.wait(for: try queue.submit(message), until: Deadline(milliseconds: 10_000))
            }
            verdict.expectSuccess(of: "a good request after \(what)") {
                if rig.end() != nil { throw Errno.ECONNRESET }
                _ = try guest.getattr(.root)
            }
        }
    }

    /// What Linux 7.2 checks of replies (fs/fuse/virtio_fs.c), which `FuseClient.receive` does too.
    static let t18 = HostileCase(
        name: "T18", title: "every reply is one that a careful guest accepts"
    ) { opponent, verdict in
        let rig = try HostileRig(opponent, ["--xattr"])
        try rig.write("file", "x")
        // A daemon serves one guest at a time: the former goes first.
        var current: FuseClient?
        let skipped: Set<UInt32> = [
            Opcode.forget.rawValue, Opcode.batchForget.rawValue, Opcode.interrupt.rawValue,
        ]
        for opcode in (1...60 as ClosedRange<UInt32>) where !skipped.contains(opcode) {
            for byteCount in [0, 8, 16, 40, 80, 128] {
                for filler in [0, 1, 0x61, 0xff] as [UInt8] {
                    var request = FuseRequest(.getattr, .root)
                    request.header.opcode = opcode
                    request.arguments = [UInt8](repeating: filler, count: byteCount)
                    // So that names end.
                    if byteCount > 0 { request.arguments[byteCount - 1] = 0 }
                    request.replyBodyByteCount = 4096
                    if current == nil { current = try rig.guest() }
                    guard let guest = current else { return }
                    do {
                        _ = try guest.receive(try guest.submit(request))
                    } catch {
                        let known = Opcode(rawValue: opcode).map { "\($0)" } ?? "opcode \(opcode)"
                        verdict.fail(
                            error.meansDeath
                                ? "\(known) ends the daemon" : "\(known): a reply that no guest accepts")
                        current = nil
                    }
                    if opcode == Opcode.destroy.rawValue || opcode == Opcode.initialize.rawValue {
                        // A second INIT in one session is not the case here.
                        current = nil
                    }
                }
            }
        }
    }
}
