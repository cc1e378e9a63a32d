// SPDX-License-Identifier: Apache-2.0
import CLinux
import Errors
import HostOS
import Synchronization
import Testing

@testable import StateArena

/// Tables are views of their arena, which nothing else keeps in these tests.
private let arenas = Mutex<[StateArena]>([])

func makeArena(inodes: UInt32 = 1 << 20) throws -> StateArena {
    var capacities = StateArena.Capacities()
    capacities.inodes = inodes
    capacities.handles = 1024
    let arena = try StateArena(capacities)
    arenas.withLock { $0.append(arena) }
    return arena
}

@Suite struct SlotTableTests {
    @Test func theFirstIdentifierIsTheRoots() throws {
        let table = try makeArena().inodes
        let slot = try #require(table.allocate())
        #expect(table.find(1) == nil)  // no valid mark yet
        table.publish(slot)
        #expect(table.identifier(of: slot) == 1)
        #expect(table.find(1) == 1)
        #expect(table.liveCount == 1)
    }

    @Test func staleAndForgedIdentifiersAreNotFound() throws {
        let arena = try makeArena(inodes: 64)
        let table = arena.inodes
        let slot = try #require(table.allocate())
        table.publish(slot)
        let first = table.identifier(of: slot)
        table.retire(slot)
        #expect(table.find(first) == nil)
        #expect(!table.isLive(slot))
        table.free(slot)
        #expect(table.find(first) == nil)
        let again = try #require(table.allocate())
        table.publish(again)
        #expect(again == slot)
        #expect(table.find(first) == nil)
        #expect(table.identifier(of: again) == first + 1 << 32)
        for forged in [0, 2, 63, 64, 65, UInt64(UInt32.max), 1 << 32, UInt64.max] {
            #expect(table.find(forged) == nil, "\(forged)")
        }
    }

    @Test func freedSlotsAreUsedFirst() throws {
        let arena = try makeArena(inodes: 64)
        let table = arena.inodes
        for _ in 0..<1000 {
            let a = try #require(table.allocate())
            let b = try #require(table.allocate())
            table.publish(a)
            table.publish(b)
            table.retire(a)
            table.retire(b)
            table.free(a)
            table.free(b)
        }
        #expect(table.usedSlots.count == 2)
        #expect(table.liveCount == 0)
    }

    @Test func aFullTableSaysSo() throws {
        let arena = try makeArena(inodes: 8)
        let table = arena.inodes
        for expected in 1..<UInt32(8) { #expect(table.allocate() == expected) }
        #expect(table.allocate() == nil)
        table.free(5)
        #expect(table.allocate() == 5)
        #expect(table.allocate() == nil)
    }
}

@Suite struct StateArenaTests {
    private func read<T>(_ zero: T, _ arena: StateArena, at offset: Int) -> T {
        var value = zero
        #expect(pread(arena.file.rawValue, &value, MemoryLayout<T>.size, offset) == MemoryLayout<T>.size)
        return value
    }

    /// What a successor finds at offset 0 of the memfd it is given.
    @Test func theHeaderTellsTheLayout() throws {
        let arena = try makeArena(inodes: 100)
        let header = read(vfs_arena(), arena, at: 0)
        #expect(header.magic == 0x414e_4552_4153_4656)  // "VFSARENA"
        #expect(header.version == 1)
        #expect(header.inode_capacity == 100)
        #expect(header.handle_capacity == 1024)
        #expect(header.queue_capacity == 65)
        #expect(header.queues % 4096 == 0 && header.inodes > header.handles)
    }

    @Test func aSuccessorReadsTheSameRecords() throws {
        let arena = try makeArena()
        let slot = try #require(arena.inodes.allocate())
        let identity = Identity(
            number: 7, device: 8, birthSeconds: 9, birthNanoseconds: 10, mount: 11, type: 0o100000)
        InodeRecord(arena.inodes, slot: slot).initialize(identity, descriptor: 12, flags: 0)
        arena.inodes.publish(slot)

        let header = read(vfs_arena(), arena, at: 0)
        let record = read(vfs_inode(), arena, at: Int(header.inodes) + Int(slot) * 128)
        #expect(record.slot.state == UInt32(VFS_SLOT_LIVE))
        #expect(record.number == 7 && record.device == 8 && record.birth_seconds == 9)
        #expect(record.birth_nanoseconds == 10 && record.mount == 11 && record.descriptor == 12)
    }

    @Test func queuesAreRecordsOfTheirOwn() throws {
        let arena = try makeArena()
        let first = try #require(arena.queue(0))
        let last = try #require(arena.queue(64))
        first.pointee.size = 128
        last.pointee.size = 256
        #expect(first.pointee.size == 128)
        #expect(arena.queue(65) == nil && arena.queue(-1) == nil)
        arena.session.pointee.virtio_features = 3
        #expect(arena.session.pointee.virtio_features == 3)
    }

    /// The default capacities are address space, not memory.
    @Test func anEmptyArenaCostsAFewPages() throws {
        let arena = try StateArena()
        var status = stat()
        #expect(fstat(arena.file.rawValue, &status) == 0)
        #expect(status.st_size > 8 << 30)
        #expect(status.st_blocks * 512 <= 64 * 1024)
    }
}
