// SPDX-License-Identifier: Apache-2.0
import Coherence
import Testing

@testable import GuestAgent

@Suite struct StepPlannerTests {
    private let directory: UInt8 = 4
    private let regular: UInt8 = 8

    private func change(
        _ kind: JournalRecord.Kind, _ sequence: UInt64, _ name: String = "", parent: UInt64? = 2,
        object: UInt64? = nil, type: UInt8 = 0, pair: UInt64? = nil
    ) -> Change {
        var change = Change(kind, sequence: sequence)
        change.name = Array(name.utf8)
        change.parent = name.isEmpty ? nil : parent
        change.object = object
        change.type = type
        change.pair = pair
        return change
    }

    /// An answer that was read up to, without, the sequence `end`.
    private func answer(_ changes: [Change], upTo end: UInt64? = nil) -> ChangeList {
        var list = ChangeList(next: (end ?? (changes.last?.sequence ?? 0) + 1) + 1)
        list.changes = changes
        return list
    }

    private func place(_ name: String, in parent: UInt64 = 2) -> Place {
        Place(parent: parent, name: Array(name.utf8))
    }

    private func steps(_ changes: Change...) -> [Step] {
        var planner = StepPlanner()
        return planner.steps(for: answer(changes))
    }

    @Test func namesComeAndGoInTheirOrder() {
        let made = change(.created, 1, "a", type: regular)
        #expect(
            steps(made, change(.removed, 2, "a"), change(.created, 3, "a", type: directory)) == [
                .appear(place("a"), type: 0o100000, isWhole: false), .vanish(place("a")),
                .appear(place("a"), type: 0o040000, isWhole: false),
            ])
    }

    @Test func whatHasGoneAgainDoesNotAppear() {
        #expect(steps(change(.created, 1, "a"), change(.removed, 2, "a")) == [.vanish(place("a"))])
    }

    @Test func aPairIsAMove() {
        #expect(
            steps(
                change(.movedAway, 7, "a"), change(.movedHere, 8, "b", parent: 3, type: directory, pair: 7))
                == [
                    .move(place("a"), to: place("b", in: 3), type: 0o040000)
                ])
    }

    @Test func aPairComesWithTheNextAnswer() {
        var planner = StepPlanner()
        #expect(planner.steps(for: answer([change(.movedAway, 7, "a")])) == [])
        let here = change(.movedHere, 8, "b", type: regular, pair: 7)
        #expect(planner.steps(for: answer([here])) == [.move(place("a"), to: place("b"), type: 0o100000)])
        #expect(planner.steps(for: answer([], upTo: 9)) == [])
    }

    @Test func aNameWithoutPairHasLeft() {
        // The journal was read further: the other half is not for this guest.
        var planner = StepPlanner()
        #expect(planner.steps(for: answer([change(.movedAway, 7, "a")], upTo: 9)) == [.leave(place("a"))])
        // Not further: it may still come, until the next answer has.
        #expect(planner.steps(for: answer([change(.movedAway, 9, "a")])) == [])
        #expect(planner.steps(for: answer([], upTo: 10)) == [.leave(place("a"))])
        #expect(planner.steps(for: answer([], upTo: 10)) == [])
    }

    @Test func aNameThatIsUsedAgainHasLeftBefore() {
        var planner = StepPlanner()
        #expect(planner.steps(for: answer([change(.movedAway, 7, "a")])) == [])
        let again = change(.created, 8, "a", type: regular)
        #expect(
            planner.steps(for: answer([again])) == [
                .leave(place("a")), .appear(place("a"), type: 0o100000, isWhole: false),
            ])
    }

    @Test func whatIsMovedInAppearsWhole() {
        let here = change(.movedHere, 8, "b", type: regular, pair: 7)
        #expect(steps(here) == [.appear(place("b"), type: 0o100000, isWhole: true)])
        let folder = change(.movedHere, 8, "b", type: directory)
        #expect(steps(folder) == [.appear(place("b"), type: 0o040000, isWhole: false)])
    }

    @Test func whatIsSaidTwiceIsDoneOnce() {
        let one = Target(node: 5, place: nil)
        let other = Target(node: 6, place: place("a"))
        #expect(
            steps(
                change(.content, 1, object: 5), change(.content, 2, object: 5),
                change(.attributes, 3, object: 5),
                change(.content, 4, "a", object: 6), change(.content, 5, object: 5)) == [
                    .content(one), .attributes(one), .content(other),
                ])
        // Not across a change of names.
        #expect(
            steps(change(.content, 1, object: 5), change(.removed, 2, "b"), change(.content, 3, object: 5))
                == [
                    .content(one), .vanish(place("b")), .content(one),
                ])
    }

    @Test(arguments: ["..", ".", "a/b", "a\0b"]) func noNameLeadsElsewhere(name: String) {
        #expect(steps(change(.removed, 1, name), change(.content, 2, name, object: 5)) == [])
    }
}
