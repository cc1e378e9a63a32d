// SPDX-License-Identifier: Apache-2.0
import Errors
import Glibc
import HostOS
import Synchronization
import Testing

@testable import Coherence

@Suite struct FollowerTests {
    private func change(_ slot: UInt32) -> Touched {
        var touched = Touched()
        touched.add(slot, .both)
        return touched
    }

    @Test func nobodyWaitsForWhoCachesNothing() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        let follower = try #require(Follower(mount))
        let writer = try #require(TableWriter(daemon))
        follower.note(4)
        writer.begin(change(3))
        writer.end()
        #expect(daemon.journal.head == 0)
        #expect(follower.next() == nil)
    }

    @Test func aChangeWaitsUntilTheCacheIsGivenUp() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        let follower = try #require(Follower(mount))
        follower.note(3)
        let isDone = Atomic<Bool>(false)
        let gone = Atomic<Bool>(false)
        let thread = try Thread(name: "writer") {
            guard let writer = TableWriter(daemon) else { return }
            var touched = Touched()
            touched.add(3, .both)
            writer.begin(touched)
            // Whoever changes something does it now.
            isDone.store(gone.load(ordering: .sequentiallyConsistent), ordering: .sequentiallyConsistent)
            writer.end()
        }
        var order: Follower.Order?
        while order == nil {
            order = follower.next()
            if order == nil { follower.wait(atMost: 1000) }
        }
        #expect(order == .slot(3))
        #expect(mount.isChanging(3))
        gone.store(true, ordering: .sequentiallyConsistent)
        follower.acknowledge()
        thread.join()
        let waited = isDone.load(ordering: .sequentiallyConsistent)
        #expect(waited)
        #expect(!follower.isExpelled)
        // It has cached nothing since.
        let writer = try #require(TableWriter(daemon))
        writer.begin(change(3))
        writer.end()
        #expect(follower.next() == nil)
    }

    @Test func theOwnFollowerIsSpared() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        let follower = try #require(Follower(mount))
        let pool = try WriterPool(daemon)
        pool.serve(follower: follower.number)
        follower.note(3)
        try pool.announcing(change(3)) { (_) throws(Errno) in }
        #expect(follower.next() == nil)
        // Still there for others.
        #expect(mount.words.load(mount.offset(3) + TableLayout.Slot.interest) == 1 << UInt64(follower.number))
    }

    @Test func whoDoesNotAnswerIsExpelledAndMayComeBack() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        let follower = try #require(Follower(mount))
        let writer = try #require(TableWriter(daemon))
        follower.note(3)
        writer.begin(change(3))  // a second passes
        writer.end()
        #expect(follower.isExpelled)
        follower.note(3)
        writer.begin(change(3))  // and now none
        writer.end()
        #expect(follower.next() == .slot(3))
        #expect(follower.next() == .slot(3))
        follower.acknowledge()
        follower.rejoin()
        #expect(!follower.isExpelled)
    }

    @Test func nobodyWaitsForTheDead() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        // What is left of a follower that was killed: its record and its bits, and no lock.
        mount.words.store32(Follower.place(9) + TableLayout.Follower.state, 1)
        mount.words.set(mount.offset(3) + TableLayout.Slot.interest, bits: 1 << 9)
        let writer = try #require(TableWriter(daemon))
        writer.begin(change(3))
        writer.end()
        #expect(mount.words.load32(Follower.place(9) + TableLayout.Follower.state) == 1)
        // The place is free for others.
        let followers = (0..<64).compactMap { _ in Follower(mount) }
        #expect(followers.count == 64)
        #expect(Follower(daemon) == nil)
    }

    @Test func whoMissesSomethingGivesUpEverything() throws {
        let rig = TableRig()
        let (daemon, mount) = (try rig.open(), try rig.open())
        let follower = try #require(Follower(mount))
        for _ in 0..<6000 { daemon.journal.append(JournalRecord(.created)) }
        #expect(follower.next() == .everything)
        #expect(follower.next() == nil)
        daemon.journal.append(JournalRecord(.everything))
        #expect(follower.next() == .everything)
    }
}
