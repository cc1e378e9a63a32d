// SPDX-License-Identifier: Apache-2.0
import Coherence

/// Makes steps of what the daemon tells, answer by answer; pure.
struct StepPlanner {
    /// Names that were moved away to where nobody has said yet, oldest first.
    private var departed: [Change] = []
    private var steps: [Step] = []
    /// What has been said of objects since the last step about a name. Saying it twice adds nothing: the kernel looks later.
    private var said: Set<Step> = []

    /// S_IFREG as the change list gives it (d_type).
    private static let regular: UInt8 = 8

    /// The steps that `list` comes to, in the order of its changes.
    ///
    /// A name that was moved away waits for its pair, at most until the end of the next answer. The two records are written
    /// one after the other, so it waits only where the journal was read no further.
    mutating func steps(for list: ChangeList) -> [Step] {
        (steps, said) = ([], [])
        let old = Set(departed.map(\.sequence))
        for change in list.changes where Self.isUsable(change) { add(change) }
        let firstUnread = list.next &- 1
        flush { old.contains($0.sequence) || $0.sequence &+ 1 != firstUnread }
        return steps
    }

    private mutating func add(_ change: Change) {
        let target = Target(node: change.object, place: Self.place(change))
        switch change.kind {
        case .attributes: say(.attributes(target))
        case .content: say(.content(target))
        case .created:
            guard let place = target.place else { return }
            makeRoom(at: place)
            appear(place, change.type, isWhole: false)
        case .removed:
            guard let place = target.place else { return }
            makeRoom(at: place)
            // What has another name must not be unlinked: the kernel would take it for one link less than it has.
            name(change.type == 0 ? .vanish(place) : .leave(place))
        case .movedAway:
            guard let place = target.place else { return }
            makeRoom(at: place)
            departed.append(change)
        case .movedHere:
            guard let place = target.place else { return }
            let index = departed.firstIndex { $0.sequence == change.pair }
            guard let index, let from = Self.place(departed[index]) else {
                makeRoom(at: place)
                appear(place, change.type, isWhole: true)
                return
            }
            departed.remove(at: index)
            makeRoom(at: place)
            name(.move(from, to: place, type: UInt32(change.type) << 12))
        case .revocation, .everything: return
        }
    }

    /// Names that were moved away and whose pair has not come have left.
    private mutating func flush(_ condition: (Change) -> Bool) {
        let (left, kept) = (departed.filter(condition), departed.filter { !condition($0) })
        departed = kept
        for change in left {
            if let place = Self.place(change) { name(.leave(place)) }
        }
    }

    /// Something else happens to a name that was moved away: that has happened before.
    private mutating func makeRoom(at place: Place) { flush { Self.place($0) == place } }

    private mutating func appear(_ place: Place, _ type: UInt8, isWhole: Bool) {
        guard type != 0 else { return }  // it has gone again, and that is told too
        name(.appear(place, type: UInt32(type) << 12, isWhole: isWhole && type == Self.regular))
    }

    private mutating func name(_ step: Step) {
        steps.append(step)
        said = []
    }

    private mutating func say(_ step: Step) {
        if said.insert(step).inserted { steps.append(step) }
    }

    private static func place(_ change: Change) -> Place? {
        guard let parent = change.parent, !change.name.isEmpty else { return nil }
        return Place(parent: parent, name: change.name)
    }

    /// Names are given to calls of the guest's kernel: one component, and nothing else.
    private static func isUsable(_ change: Change) -> Bool {
        let name = change.name
        if name.contains(0) || name.contains(UInt8(ascii: "/")) { return false }
        return name != [UInt8(ascii: ".")] && name != [UInt8(ascii: "."), UInt8(ascii: ".")]
    }
}
