// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS

/// What the processes outside and inside tell each other while the daemon starts: a byte each over a socket that ends with either.
struct Channel: ~Copyable, Sendable {
    enum Message: UInt8 {
        /// Inside has its user namespace.
        case madeUserNamespace = 1
        /// Outside has seen to the maps.
        case mapped
        /// The server's process id follows.
        case server
        /// Outside is the server's parent now.
        case adopted
        /// The server can answer.
        case ready
        /// Front-ends can connect.
        case published
    }

    private let socket: OwnedDescriptor

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    /// Says nothing to one who has gone.
    func send(_ message: Message) { try? Files.writeAll(socket.rawValue, [message.rawValue]) }

    func send(server: pid_t) {
        let bytes = unsafe withUnsafeBytes(of: server) { unsafe Array($0) }
        try? Files.writeAll(socket.rawValue, [Message.server.rawValue] + bytes)
    }

    /// Waits; nil when the other side has gone.
    func receive() -> Message? { receive(1).flatMap { Message(rawValue: $0[0]) } }

    /// Waits for the id of the process that serves, as the outside sees it.
    func receiveServer() -> pid_t? {
        guard receive() == .server, let bytes = receive(MemoryLayout<pid_t>.size) else { return nil }
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: pid_t.self) }
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let number = socket.rawValue
        let received = try? systemCall { unsafe recv(number, &bytes, count, Int32(MSG_WAITALL)) }
        return received == count ? bytes : nil
    }
}
