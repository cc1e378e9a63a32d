// SPDX-License-Identifier: Apache-2.0
import Errors
import Frontend
import FuseWire
import Glibc
import Guest
import HostOS
import Testing
import VfioClient

@testable import PciDevice

/// The three shared memory regions as a VMM and its guest find them.
@Suite struct SharedRegionTests {
    @Test func tablesAreMappedByTheVMM() throws {
        let file = try makeMemoryFile(name: "table", byteCount: 6 << 20)
        let tables = try TableMemory(path: "/proc/self/fd/\(file.rawValue)", journalByteCount: 2 << 20)
        let rig = try DeviceRig(tables: tables)
        let bridge = try rig.bridge()
        try bridge.withClient { client in
            let region = try client.regionInfo(2)
            #expect(region.info.size == 8 << 20 && !region.info.isWritable)
            #expect(region.info.mappable == [0..<6 << 20])
            let mapped = try #require(region.file)
            #expect(fcntl(mapped.descriptor.rawValue, F_GETFL) & O_ACCMODE == O_RDONLY)
            let memory = try Mapping(
                sharing: mapped.descriptor.rawValue, offset: 0, byteCount: 6 << 20, readOnly: true)
            // What the host writes the guest sees, with and without a mapping.
            #expect(pwrite(file.rawValue, [0x5a as UInt8], 1, 4 << 20) == 1)
            #expect(memory.base.load(fromByteOffset: 4 << 20, as: UInt8.self) == 0x5a)
            #expect(try client.read(2, 4 << 20, 2) == [0x5a, 0])
            // Behind the end are zeros; nobody writes.
            #expect(try client.read(2, 7 << 20, 4) == [0, 0, 0, 0])
            #expect(throws: Errno.self) { try client.write(2, 0, [1]) }
            #expect(try client.read(2, 0, 1) == [0])
        }
    }

    @Test(.enabled(if: requirementsMet("SharedRegionTests.window", .root, .passthrough)))
    func theWindowIsReachedThroughUs() throws {
        let rig = try DeviceRig(windowMebibytes: 64, daemonOptions: ["--sandbox=none", "--dax-min-size=1"])
        let guest = try DeviceGuest(rig)
        let path = "\(rig.share)/file"
        try Files.replace(path, with: Array("what the host wrote".utf8))
        _ = try guest.client.initialize(
            flags: FuseClient.linuxFlags | InitFlags.mapAlignment | InitFlags.hasInodeDAX)
        let entry = try guest.client.lookup(.root, Array("file".utf8))
        let node = NodeID(rawValue: entry.nodeID)
        func window(_ offset: UInt64, _ count: Int) throws -> String {
            String(decoding: try guest.bridge.withClient { try $0.read(4, offset, count) }, as: UTF8.self)
        }
        let nothing = String(repeating: "\0", count: 19)
        #expect(try window(4 << 20, 19) == nothing)
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 4 << 20)
        #expect(try window(4 << 20, 19) == "what the host wrote")
        try guest.bridge.withClient { try $0.write(4, (4 << 20) + 9, Array("guest".utf8)) }
        #expect(try Files.text(path) == "what the guestwrote")
        try guest.client.removeMapping(node, [(windowOffset: 4 << 20, length: FuseClient.mappingByteCount)])
        #expect(try window(4 << 20, 19) == nothing)
        // A write where nothing is mapped is lost, like that of a guest to memory that is not there.
        try guest.bridge.withClient { try $0.write(4, 0, [1]) }
        #expect(try window(0, 1) == "\0")
        // A reset takes everything away, and the next mount maps anew.
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0)
        try guest.client.frontend.reset()
        #expect(try window(0, 19) == nothing)
        _ = try guest.client.initialize(
            flags: FuseClient.linuxFlags | InitFlags.mapAlignment | InitFlags.hasInodeDAX)
        let again = NodeID(rawValue: try guest.client.lookup(.root, Array("file".utf8)).nodeID)
        try guest.client.setupMapping(again, fileOffset: 0, windowOffset: 0)
        #expect(try window(0, 19) == "what the guestwrote")
    }

    /// A guest that reads what it has mapped when the daemon has died gets the file, not zeros.
    @Test(.enabled(if: requirementsMet("SharedRegionTests.dead", .root, .passthrough)))
    func whatIsMappedOutlivesTheDaemon() throws {
        let rig = try DeviceRig(windowMebibytes: 64, daemonOptions: ["--sandbox=none", "--dax-min-size=1"])
        let guest = try DeviceGuest(rig)
        let flags = FuseClient.linuxFlags | InitFlags.mapAlignment | InitFlags.hasInodeDAX
        try Files.replace("\(rig.share)/file", with: Array("contents".utf8))
        _ = try guest.client.initialize(flags: flags)
        let node = NodeID(rawValue: try guest.client.lookup(.root, Array("file".utf8)).nodeID)
        try guest.client.setupMapping(node, fileOffset: 0, windowOffset: 0)
        rig.killDaemon()
        #expect(throws: Errno.ENOTCONN) { try guest.client.lookup(.root, Array("file".utf8)) }
        #expect(try guest.bridge.withClient { try $0.read(4, 0, 8) } == Array("contents".utf8))
        try rig.startDaemon()
        let deadline = Deadline(milliseconds: 20_000)
        while (try? guest.client.initialize(flags: flags)) == nil, !deadline.hasPassed { usleep(20_000) }
        // The new mount begins with an empty window.
        #expect(try guest.bridge.withClient { try $0.read(4, 0, 8) } == [UInt8](repeating: 0, count: 8))
    }

    /// Without the option the guest sees no cache capability and the daemon is not asked for a window.
    @Test func noWindowUnlessAskedFor() throws {
        let rig = try DeviceRig()
        let guest = try DeviceGuest(rig)
        try guest.bridge.withClient { client throws in
            #expect(try client.regionInfo(4).info.size == 0)
            #expect(throws: Errno.EINVAL) { try client.read(4, 0, 1) }
        }
        #expect(throws: Errno.self) { try guest.client.setupMapping(.root, fileOffset: 0, windowOffset: 0) }
    }
}
