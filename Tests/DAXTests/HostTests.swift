// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import HostOS
import Synchronization
import Testing

/// What the host's files come to when they are mapped, and guests when files are changed on the host.
@Suite(.serialized, .enabled(if: DAXRig.isPossible)) struct HostTests {
    private let piece = DAXGuest.piece

    /// Size, times, blocks, attributes and bytes of a file are the user's.
    @Test func mappingLeavesNoTrace() throws {
        let rig = try DAXRig()
        let sizes = [1, 4095, 100_000, 2 << 20 | 5]
        for size in sizes {
            try rig.write("f\(size)", DAXRig.bytes(size))
            let path = rig.path("f\(size)")
            try [1, 2].withUnsafeBytes { value in
                try setAttribute(path, "user.note", to: value, flags: 0)
            }
        }
        let hole = rig.path("hole")
        try rig.write("hole", [])
        #expect(truncate(hole, 5 << 20) == 0)
        let names = sizes.map { "f\($0)" } + ["hole"]
        let before = try names.map { try rig.untouched($0) }
        func check(_ what: Comment) throws {
            for (name, old) in zip(names, before) { #expect(try rig.untouched(name) == old, what) }
        }

        let guest = try rig.guest()
        for (number, name) in names.enumerated() {
            try guest.map(name, at: 4 * number)
            _ = try guest.read(4 * number * piece, 1)
        }
        try check("mapped")
        for (number, name) in names.enumerated() {
            try guest.client.removeMapping(
                NodeID(rawValue: try guest.lookup(name).nodeID), [(UInt64(4 * number * piece), UInt64(piece))]
            )
        }
        try check("some of it unmapped")
        try guest.client.destroy()
        try check("the session ended")
    }

    /// The same when the daemon is killed at any moment.
    @Test func killing() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(5 << 20 | 3))
        let before = try rig.untouched("f")
        for round in 0..<10 {
            let guest = try rig.guest()
            let node = NodeID(rawValue: try guest.lookup("f").nodeID)
            let daemon = guest.daemon.process
            let killer = try HostOS.Thread(name: "killer") {
                usleep(UInt32(round) * 500)
                daemon.signal(SIGKILL)
            }
            do {
                for step in 0..<10_000 {
                    let (number, place) = (step % 3, UInt64(step % 32 * DAXGuest.piece))
                    try guest.client.setupMapping(
                        node, fileOffset: UInt64(number * DAXGuest.piece), windowOffset: place)
                    try guest.client.removeMapping(node, [(place, UInt64(DAXGuest.piece))])
                }
                Issue.record("the daemon lives on")
            } catch {}
            killer.join()
            #expect(try rig.untouched("f") == before)
        }
        #expect(try rig.read("f") == bytes)
    }

    /// A host process cuts a mapped file again and again while a guest reads it: data, zeros or an error, and nobody ends.
    @Test func cuttingWhatIsBeingRead() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(3 << 20))
        let guest = try rig.guest()
        let node = try guest.map("f")
        let path = rig.path("f")
        final class Flag: Sendable { let isSet = Atomic<Bool>(false) }
        let flag = Flag()
        let cutter = try HostOS.Thread(name: "cutter") {
            for round in 0..<1000 {
                truncate(path, 0)
                if round % 3 == 0 { usleep(200) }
                let file = open(path, O_WRONLY | O_CLOEXEC)
                _ = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count / (1 + round % 4)) }
                close(file)
            }
            flag.isSet.store(true, ordering: .releasing)
        }
        var (data, zeros, faults) = (0, 0, 0)
        var step = 0
        while !flag.isSet.load(ordering: .acquiring) {
            let offset = (step &* 40_503) % (3 << 20 - 16)
            step += 1
            // Told the size now and then, as a guest is that looks at the file.
            if step % 64 == 0 { _ = try guest.client.getattr(node) }
            do throws(Errno) {
                let read = try guest.window.readBytes(UInt64(offset), count: 16)
                let expected = Array(bytes[offset..<offset + 16])
                for (byte, old) in zip(read, expected) { #expect(byte == old || byte == 0) }
                if read == expected { data += 1 } else { zeros += 1 }
            } catch {
                #expect(error == .EFAULT)
                faults += 1
            }
        }
        cutter.join()
        print("cuttingWhatIsBeingRead: \(data) reads with data, \(zeros) with zeros, \(faults) faults")
        #expect(guest.isWell)
        // And everything works as before.
        try rig.write("f", bytes)
        #expect(try guest.client.getattr(node).attributes.size == 3 << 20)
        try guest.map("f", at: 16)
        #expect(try guest.read(16 * piece, bytes.count) == bytes)
    }

    /// The host makes a mapped file shorter and longer again; when the guest has been told, it sees the truth.
    @Test func cutAndGrown() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(5 << 20))
        let guest = try rig.guest()
        let node = try guest.map("f")
        try rig.truncate("f", to: 10_000)
        #expect(try guest.client.getattr(node).attributes.size == 10_000)
        #expect(try guest.read(0, 10_000) == Array(bytes[..<10_000]))
        try rig.write("f", bytes)
        #expect(try guest.client.getattr(node).attributes.size == 5 << 20)
        #expect(try guest.read(0, bytes.count) == bytes)
        try guest.write([1], at: 4 << 20)
        #expect(try rig.read("f")[4 << 20] == 1)
    }

    /// It becomes shorter while nothing of it is mapped, and the guest has not heard of that. A page behind the end would be EFAULT here,
    /// and the end of a virtual machine.
    @Test(arguments: [[], ["--cache=always"]])
    func cutBeforeItIsMapped(_ options: [String]) throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(2 * piece))
        let guest = try rig.guest(options)
        let node = NodeID(rawValue: try guest.lookup("f").nodeID)
        try rig.truncate("f", to: 100)
        for (place, offset) in [(0, piece), (1, 0)] {
            try guest.client.setupMapping(
                node, fileOffset: UInt64(offset), windowOffset: UInt64(place * piece))
        }
        let zeros = [UInt8](repeating: 0, count: piece)
        #expect(try guest.read(0, piece) == zeros)
        #expect(try guest.read(piece, piece) == Array(bytes.prefix(100)) + Array(zeros.dropFirst(100)))

        // What is appended is there when the guest has heard of it.
        let more = DAXRig.bytes(50_000, seed: 7)
        try rig.write("f", more, at: 100)
        #expect(try guest.client.getattr(node).attributes.size == 50_100)
        #expect(try guest.read(piece + 100, 50_000) == more)
        #expect(try guest.read(piece + 50_100, piece - 50_100).allSatisfy { $0 == 0 })
        try rig.write("f", bytes, at: 0)
        #expect(try guest.client.getattr(node).attributes.size == UInt64(bytes.count))
        #expect(try guest.read(0, piece) == Array(bytes[piece...]))
        #expect(try guest.read(piece, piece) == Array(bytes[..<piece]))
        #expect(guest.window.pieces.count == 2 && guest.isWell && guest.refusals == 0)
    }

    /// The same, and the guest then appends itself.
    @Test func cutBeforeItIsMappedAndContinuedByTheGuest() throws {
        let rig = try DAXRig()
        var bytes = try rig.write("f", DAXRig.bytes(2 * piece))
        let guest = try rig.guest()
        let node = NodeID(rawValue: try guest.lookup("f").nodeID)
        let handle = try guest.client.open(node, flags: UInt32(O_RDWR)).handle
        try rig.truncate("f", to: 100)
        #expect(try guest.client.getattr(node).attributes.size == 100)
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0)
        #expect(guest.window.pieces.count == 2)
        bytes = Array(bytes[..<100])
        for round in 0..<20 {
            let more = DAXRig.bytes(5000, seed: round)
            #expect(try guest.client.write(node, handle, offset: UInt64(bytes.count), more) == 5000)
            bytes += more
            #expect(try guest.read(0, bytes.count) == bytes)
            #expect(guest.window.pieces == [0..<piece], "it has found its end")
        }
        #expect(try rig.read("f") == bytes && guest.isWell && guest.refusals == 0)
    }

    /// A file removed and replaced on the host: what is mapped stays the old one's.
    @Test func replacing() throws {
        let rig = try DAXRig()
        let bytes = try rig.write("f", DAXRig.bytes(100_000))
        let guest = try rig.guest()
        try guest.map("f")
        try rig.write("g", DAXRig.bytes(100_000, seed: 50))
        #expect(rename(rig.path("g"), rig.path("f")) == 0)
        #expect(try guest.read(0, 100_000) == bytes)
        try guest.map("f", at: 1)
        #expect(try guest.read(piece, 100_000) == DAXRig.bytes(100_000, seed: 50))
    }
}
