// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Testing

/// SETUPMAPPING and REMOVEMAPPING as no Linux sends them.
@Suite(.serialized, .enabled(if: DAXRig.isPossible)) struct ForgedTests {
    private let piece = UInt64(DAXGuest.piece)

    private func error(_ body: () throws(Errno) -> Void) -> Errno? {
        do throws(Errno) { try body() } catch { return error }
        return nil
    }

    @Test func rangesThatAreNone() throws {
        let rig = try DAXRig(windowMebibytes: 4)
        let bytes = try rig.write("f", DAXRig.bytes(100_000))
        mkdir(rig.path("d"), 0o755)
        symlink("f", rig.path("l"))
        let guest = try rig.guest()
        let client = guest.client
        let node = try guest.map("f")
        let window = UInt64(guest.window.byteCount)
        func setup(
            _ node: NodeID, _ file: UInt64 = 0, _ length: UInt64? = nil, at offset: UInt64 = 0
        ) -> Errno? {
            error { () throws(Errno) in
                try client.setupMapping(
                    node, fileOffset: file, length: length ?? piece, windowOffset: offset)
            }
        }
        let odd: [UInt64] = [1, 4095, 4096, piece - 1, piece + 1, .max, 1 << 63, (1 << 63) - 1]
        for offset in odd + [window, window - 4096, window * 2, .max - piece + 1] {
            #expect(setup(node, at: offset) == .EINVAL, "\(offset)")
        }
        for offset in odd { #expect(setup(node, offset) == .EINVAL, "\(offset)") }
        #expect(setup(node, .max - piece + 1) == .EINVAL)
        for length in [0, piece * 2, window, .max, .max - piece + 1] + odd {
            #expect(setup(node, 0, length) == .EINVAL, "\(length)")
        }
        for name in ["d", "l"] {
            #expect(setup(NodeID(rawValue: try guest.lookup(name).nodeID)) == .EINVAL)
        }
        #expect(setup(.root) == .EINVAL)
        for number in [0, 999, node.rawValue + 1, node.rawValue ^ 1 << 40, .max] as [UInt64] {
            let refusal = setup(NodeID(rawValue: number))
            #expect(refusal == .ESTALE || refusal == .EINVAL, "\(number): \(String(describing: refusal))")
        }

        func remove(_ ranges: [(windowOffset: UInt64, length: UInt64)]) -> Errno? {
            error { () throws(Errno) in try client.removeMapping(node, ranges) }
        }
        for offset in odd + [piece, window, window * 2] { #expect(remove([(offset, piece)]) == .EINVAL) }
        for length in [0, 1, 4096, window + piece, .max, .max - piece + 1] as [UInt64] {
            #expect(remove([(0, length)]) == .EINVAL, "\(length)")
        }
        // What is in order is done, and what is not is said.
        #expect(try guest.read(0, 100_000) == bytes)
        #expect(remove([(piece, piece), (0, piece), (7, 7)]) == .EINVAL)
        #expect(guest.window.pieces.isEmpty)
        #expect(remove([(0, piece)]) == .EINVAL, "it is gone")
        #expect(guest.isWell && guest.refusals == 0, "nothing of it reached the VMM")
    }

    /// A count that does not agree with the message.
    @Test func countsThatLie() throws {
        let rig = try DAXRig(windowMebibytes: 4)
        try rig.write("f", DAXRig.bytes(100))
        let guest = try rig.guest()
        let node = try guest.map("f")
        for count in [0, 2, 3, 256, 65536, 0x1000_0000, .max] as [UInt32] {
            var request = FuseClient.removeMappingRequest(node, [(0, piece)])
            request.arguments.replaceSubrange(0..<4, with: wireBytes(of: count))
            #expect(error { () throws(Errno) in try guest.client.call(request) } != nil || count == 0)
        }
        for length in 0..<40 {
            var request = FuseRequest(.setupMapping, node, SetupMappingIn())
            request.arguments = Array(request.arguments.prefix(length))
            #expect(error { () throws(Errno) in try guest.client.call(request) } != nil)
        }
        #expect(guest.window.pieces.count == 1 && guest.isWell)
    }

    /// Thousands of requests, in order and not, several at a time: answers to all, the window's own size the limit.
    @Test func aFlood() throws {
        let rig = try DAXRig(windowMebibytes: 8)
        let bytes = try rig.write("f", DAXRig.bytes(9 << 20))
        let guest = try rig.guest()
        let node = NodeID(rawValue: try guest.lookup("f").nodeID)
        var state: UInt64 = 7
        func random(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        var (good, bad) = (0, 0)
        for _ in 0..<400 {
            var pending: [FuseClient.Pending] = []
            for _ in 0..<8 {
                let step = random(8) == 0 ? 4096 : piece
                if random(2) == 0 {
                    var argument = SetupMappingIn()
                    argument.fileOffset = random(6) * step
                    argument.windowOffset = random(6) * step
                    argument.length = random(10) == 0 ? random(.max / 2) : piece
                    argument.flags = random(4)
                    pending.append(try guest.client.submit(FuseRequest(.setupMapping, node, argument)))
                } else {
                    let ranges = (0..<1 + random(4)).map { _ in
                        (windowOffset: random(6) * step, length: piece * random(3))
                    }
                    pending.append(
                        try guest.client.submit(FuseClient.removeMappingRequest(node, ranges)))
                }
            }
            for one in pending {
                if try guest.client.receive(one).header.error == 0 { good += 1 } else { bad += 1 }
            }
            // A guest was never told to map a file larger than the window: its last chunk is two pieces.
            #expect(guest.window.pieces.count <= 8)
        }
        #expect(good > 100 && bad > 100)
        #expect(guest.isWell && guest.refusals == 0)
        try guest.client.destroy()
        #expect(guest.window.pieces.isEmpty)
        #expect(try rig.read("f") == bytes)
    }

    /// Without the flag in INIT there is no such request.
    @Test func withoutAnAgreement() throws {
        let rig = try DAXRig(windowMebibytes: 4)
        try rig.write("f", DAXRig.bytes(100))
        let guest = try rig.guest()
        _ = try guest.client.initialize()
        let entry = try guest.lookup("f")
        #expect(entry.attributes.flags & AttributeFlags.dax == 0)
        let node = NodeID(rawValue: entry.nodeID)
        #expect(
            error { () throws(Errno) in
                try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0)
            } == .ENOSYS)
        #expect(guest.window.pieces.isEmpty)
    }
}
