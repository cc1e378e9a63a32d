// SPDX-License-Identifier: Apache-2.0
import CLinux
import Testing

@testable import StateArena

@Suite struct IdentityIndexTests {
    private func identity(_ number: UInt64) -> Identity {
        Identity(number: number, device: 1, birthSeconds: 2, birthNanoseconds: 3, mount: 4, type: 0o100000)
    }

    private func add(_ identity: Identity, to table: SlotTable, _ index: inout IdentityIndex) throws -> UInt32
    {
        let slot = try #require(table.allocate())
        let record = InodeRecord(table, slot: slot)
        record.initialize(identity, descriptor: -1, flags: 0)
        table.publish(slot)
        index.insert(record)
        return slot
    }

    /// design.md: a known inode costs at most 160 bytes. It is its record, with the file handle, and at most two buckets.
    @Test func aKnownInodeCosts136BytesAtMost() throws {
        #expect(MemoryLayout<vfs_inode>.stride == 128)
        #expect(InodeRecord.handleCapacity == 56)
        let arena = try makeArena()
        let table = arena.inodes
        var index = try IdentityIndex(table)
        for number in 0..<UInt64(70_000) {
            _ = try add(identity(number), to: table, &index)
            if index.count >= 1024 {
                let bytes = index.bucketCount * MemoryLayout<UInt32>.stride
                #expect(bytes <= 8 * index.count, "\(index.count)")
            }
        }
        withExtendedLifetime(arena) {}
    }

    /// From two buckets, through many rebuilds, with one record in three taken out again.
    @Test func growthKeepsWhatIsInAndOnlyThat() throws {
        let arena = try makeArena()
        let table = arena.inodes
        var index = try IdentityIndex(table, bucketCount: 2)
        var slots: [UInt32] = []
        for number in 0..<UInt64(5000) { slots.append(try add(identity(number), to: table, &index)) }
        for number in stride(from: 0, to: 5000, by: 3) {
            index.remove(InodeRecord(table, slot: slots[number]))
            index.remove(InodeRecord(table, slot: slots[number]))  // not in the index: nothing happens
        }
        for number in 5000..<UInt64(20000) { slots.append(try add(identity(number), to: table, &index)) }
        for number in 0..<20000 {
            let isIn = number >= 5000 || number % 3 != 0
            #expect(index.find(identity(UInt64(number)))?.slot == (isIn ? slots[number] : nil))
        }
        #expect(index.count == 20000 - 1667)
        withExtendedLifetime(arena) {}
    }

    /// Each field of an identity counts: what differs in one is another object.
    @Test func everyFieldTellsObjectsApart() throws {
        let arena = try makeArena()
        var index = try IdentityIndex(arena.inodes)
        let base = identity(100)
        _ = try add(base, to: arena.inodes, &index)
        #expect(index.find(base) != nil)
        let changes: [(inout Identity) -> Void] = [
            { $0.number += 1 }, { $0.device += 1 }, { $0.birthSeconds += 1 }, { $0.birthNanoseconds += 1 },
            { $0.mount += 1 }, { $0.type = 0o040000 },
        ]
        for change in changes {
            var other = base
            change(&other)
            #expect(index.find(other) == nil)
        }
    }

    @Test func aHandleIsKeptAsTheSystemCallWantsIt() throws {
        let arena = try makeArena()
        let slot = try #require(arena.inodes.allocate())
        let record = InodeRecord(arena.inodes, slot: slot)
        record.initialize(identity(1), descriptor: -1, flags: 0)
        #expect(!record.hasHandle)
        // struct file_handle: handle_bytes 4, handle_type 0x102, f_handle
        let handle: [UInt8] = [4, 0, 0, 0, 2, 1, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd]
        handle.withUnsafeBytes { record.storeHandle($0.baseAddress!, byteCount: 4) }
        #expect(record.hasHandle)
        #expect(Array(UnsafeRawBufferPointer(start: record.handleAddress, count: 12)) == handle)
        #expect(MemoryLayout<vfs_inode>.stride <= 160)
    }
}
