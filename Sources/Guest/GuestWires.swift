// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import Glibc
import HostOS

/// Our ends of a guest's channels.
final class GuestWires {
    /// A socket pair; the far end is closed when the machine has it.
    private final class Pair {
        let near: OwnedDescriptor
        var far: OwnedDescriptor?

        init(_ near: consuming OwnedDescriptor, _ far: consuming OwnedDescriptor) {
            self.near = near
            self.far = consume far
        }
    }

    private let pairs: [Pair]

    init() throws(Errno) {
        var pairs: [Pair] = []
        for _ in Channel.allCases { pairs.append(try SocketPair().split { Pair($0, $1) }) }
        self.pairs = pairs
    }

    func near(_ channel: Channel) -> Int32 { pairs[Int(channel.rawValue)].near.rawValue }

    /// In the order of `Channel`.
    var farEnds: [Int32] {
        pairs.map { pair in
            switch pair.far {
            case .some(let far): far.rawValue
            case .none: -1
            }
        }
    }

    /// So that the end of the machine is the end of the channels.
    func closeFarEnds() {
        for pair in pairs { pair.far = nil }
    }

    /// What has arrived on a channel, at most 64 KiB; nil when nothing has, empty at its end.
    func receive(_ channel: Channel) -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = unsafe recv(near(channel), &chunk, chunk.count, Int32(MSG_DONTWAIT))
        if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : [] }
        return Array(chunk[..<count])
    }

    /// Whether bytes wait on a channel.
    func hasArrived(_ channel: Channel) -> Bool {
        var byte: UInt8 = 0
        return unsafe recv(near(channel), &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK)) > 0
    }

    /// Sends what fits now and drops it from `bytes`; false when the guest is gone.
    func send(_ channel: Channel, _ bytes: inout ArraySlice<UInt8>) -> Bool {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        let count = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.send(near(channel), $0.baseAddress, $0.count, flags)
        }
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        bytes = bytes.dropFirst(count)
        return true
    }
}
