// SPDX-License-Identifier: Apache-2.0
import HostOS
import Synchronization
import Testing

@Suite struct AnnouncementsTests {
    @Test func whatWasAnnouncedBeforeIsNotWaitedFor() {
        let changes = Announcements()
        let seen = changes.current
        changes.announce()
        #expect(changes.current == seen &+ 1)
        changes.wait(since: seen, until: .never)  // returns
    }

    @Test func waitingEndsAtTheDeadline() {
        let changes = Announcements()
        let deadline = Deadline(milliseconds: 5)
        while !deadline.hasPassed { changes.wait(since: changes.current, until: deadline) }
    }

    /// Two threads hand a number back and forth: neither misses the other's step.
    @Test func nobodyMissesAnAnnouncement() throws {
        let changes = Announcements()
        let turn = Atomic<Int>(0)
        let rounds = 2000
        @Sendable func play(_ parity: Int) {
            while true {
                let seen = changes.current
                let now = turn.load(ordering: .acquiring)
                if now >= rounds { return }
                if now % 2 == parity {
                    turn.store(now + 1, ordering: .releasing)
                    changes.announce()
                } else {
                    changes.wait(since: seen, until: .never)
                }
            }
        }
        let players = try (0..<2).map { parity in try Thread(name: "player") { play(parity) } }
        for player in players { player.join() }
        #expect(turn.load(ordering: .relaxed) == rounds)
    }
}
