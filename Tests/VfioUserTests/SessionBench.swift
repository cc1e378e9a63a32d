// SPDX-License-Identifier: Apache-2.0
import Errors
import HostOS
import MessageTools
import VfioClient

@testable import VfioUser

/// A header with bytes of its own making.
func header(_ command: UInt16, flags: UInt32 = 0, id: UInt16 = 7, error: UInt32 = 0, _ payloadByteCount: Int)
    -> [UInt8]
{
    le16(id) + le16(command) + le32(UInt32(16 + payloadByteCount)) + le32(flags) + le32(error)
}

/// A session over a fake device, driven message by message in this thread.
final class SessionBench {
    let device: FakeDevice
    let session: VfioSession
    private(set) var client: VfioClient?

    /// - Parameter negotiated: VERSION is done.
    init(_ device: FakeDevice = FakeDevice(), negotiated: Bool = true) throws {
        self.device = device
        let (session, client) = try SocketPair().split { (ours, theirs) throws(Errno) in
            (
                try VfioSession(adopting: ours, device: device, messageTimeout: 50),
                try VfioClient(adopting: theirs)
            )
        }
        self.session = session
        self.client = client
        client.afterSending = { try session.serveOne() }
        if negotiated { try client.version() }
    }

    func hangUp() { client = nil }

    /// Sends these bytes, lets the session serve a message and returns all bytes that came back.
    func exchange(_ bytes: [UInt8], descriptors: [Int32] = []) throws -> [UInt8] {
        try client?.send(bytes: bytes, descriptors: descriptors)
        try session.serveOne()
        return answer()
    }

    /// All that came back and was not received yet.
    func answer() -> [UInt8] {
        var bytes: [UInt8] = []
        while let client, waitReadable(client.descriptor, timeoutMilliseconds: 0) != 0,
            let reply = try? client.receive()
        {
            var writer = ByteWriter(capacity: 16)
            reply.header.encode(into: &writer)
            bytes += writer.bytes + reply.payload
        }
        return bytes
    }
}
