// SPDX-License-Identifier: Apache-2.0
import HostOS
import Testing

@testable import Coherence

@Suite struct EventTellerTests {
    @Test func namesBelow() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.created, object: handle(4), at: at(2, "a")))
        #expect(rig.bumped() == [2: .both, 4: .attributes])
        #expect(rig.told() == ["created 4 2/a"])
        rig.tell(WatchEvent(.modified, object: handle(4), at: at(2, "a")))
        #expect(rig.bumped() == [4: .both])
        #expect(rig.told() == ["content 4 2/a"])
        rig.tell(WatchEvent(.attributes, object: handle(4), at: at(2, "a")))
        #expect(rig.bumped() == [4: .attributes])
        #expect(rig.told() == ["attributes 4 2/a"])
        rig.tell(WatchEvent([.attributes, .ofDirectory], at: at(2, ".")))
        #expect(rig.bumped() == [2: .attributes])
        #expect(rig.told() == ["attributes 2"])
        rig.forget(4)
        rig.tell(WatchEvent(.removed, object: handle(4), at: at(2, "a")))
        #expect(rig.bumped() == [2: .both, 4: .both])
        #expect(rig.told() == ["removed 4 2/a"])
        // Of what was never seen alive only the name is known.
        rig.forget(5)
        rig.tell(WatchEvent(.removed, object: handle(5), at: at(1, "b")))
        #expect(rig.bumped() == [1: .both])
        #expect(rig.told() == ["removed 1/b"])
    }

    @Test func moves() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.moved, object: handle(4), at: at(1, "a"), to: at(2, "b")))
        #expect(rig.bumped() == [1: .both, 2: .both, 4: .both])
        #expect(rig.told() == ["movedAway 4 1/a", "movedHere 4 2/b pair 0"])
        // What lies outside has no name here.
        rig.tell(WatchEvent(.moved, object: handle(4), at: at(2, "b"), to: at(3, "secret")))
        #expect(rig.bumped() == [2: .both, 4: .both])
        #expect(rig.told() == ["movedAway 4 2/b"])
        rig.tell(WatchEvent(.moved, object: handle(4), at: at(3, "secret"), to: at(1, "c")))
        #expect(rig.bumped() == [1: .both, 4: .both])
        #expect(rig.told() == ["movedHere 4 1/c"])
        rig.tell(WatchEvent(.moved, object: handle(5), at: at(3, "x"), to: at(3, "y")))
        #expect(rig.bumped().isEmpty)
        #expect(rig.told().isEmpty)
    }

    /// Before Linux 5.17 a move is two events, and no event of a name says which object it means.
    @Test func movesInTwoParts() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.movedFrom, by: 7, at: at(1, "a")))
        rig.host.state.withLock { $0.names[Array("b".utf8)] = FoundObject(key: key(4), links: 1) }
        rig.tell(WatchEvent(.movedTo, by: 7, at: at(2, "b")))
        #expect(rig.bumped() == [1: .both, 2: .both, 4: .both])
        #expect(rig.told() == ["movedAway 1/a", "movedHere 4 2/b pair 0"])
        rig.tell(WatchEvent(.movedTo, by: 7, at: at(2, "b")))
        #expect(rig.told() == ["movedHere 4 2/b"])
    }

    @Test func whatLiesOutsideIsNobodysBusiness() throws {
        let rig = try TellerRig()
        for changes in [.created, .modified, .attributes, .removed] as [WatchEvent.Changes] {
            rig.tell(WatchEvent(changes, object: handle(4), at: at(3, "secret")))
        }
        rig.tell(WatchEvent([.attributes, .ofDirectory], at: at(3, ".")))
        // A temporary file that has lost its name, and one that is gone.
        rig.link(5, 0)
        rig.tell(WatchEvent(.attributes, object: handle(5)))
        rig.forget(6)
        rig.tell(WatchEvent(.attributes, object: handle(6)))
        #expect(rig.bumped().isEmpty)
        #expect(rig.told().isEmpty)
    }

    /// It may be another name of what lies below.
    @Test func fileWithSeveralNamesIsToldWithoutThem() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.modified, object: handle(4), at: at(3, "secret")))
        #expect(rig.told().isEmpty)
        rig.link(4, 2)
        rig.tell(WatchEvent(.attributes, object: handle(4)))
        #expect(rig.bumped() == [4: .attributes])
        #expect(rig.told() == ["attributes 4"])
        rig.tell(WatchEvent(.modified, object: handle(4), at: at(3, "secret")))
        #expect(rig.bumped() == [4: .both])
        #expect(rig.told() == ["content 4"])
        rig.tell(WatchEvent(.moved, object: handle(4), at: at(3, "secret"), to: at(3, "other")))
        #expect(rig.bumped() == [4: .attributes])
        #expect(rig.told() == ["attributes 4"])
        rig.link(4, 1)
        rig.tell(WatchEvent(.attributes, object: handle(4)))
        #expect(rig.bumped() == [4: .attributes])
        _ = rig.told()
        rig.tell(WatchEvent(.modified, object: handle(4), at: at(3, "secret")))
        #expect(rig.bumped().isEmpty)
        #expect(rig.told().isEmpty)
    }

    /// A file that is shared alone has its name in a directory that is not.
    @Test func sharedFileIsTold() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.modified, object: handle(1), at: at(3, "secret")))
        #expect(rig.bumped() == [1: .both])
        #expect(rig.told() == ["content 1"])
    }

    /// Somebody has it open, who sees that it has no name any more.
    @Test func whatAMoveReplacesIsTold() throws {
        let rig = try TellerRig()
        rig.link(5, 0)
        rig.tell(WatchEvent(.moved, by: 7, object: handle(4), at: at(3, "new"), to: at(2, "b")))
        _ = (rig.bumped(), rig.told())
        rig.tell(WatchEvent(.attributes, by: 8, object: handle(5)))
        #expect(rig.bumped().isEmpty)
        rig.tell(WatchEvent(.attributes, by: 7, object: handle(5)))
        #expect(rig.bumped() == [5: .attributes])
        #expect(rig.told() == ["attributes 5"])
    }

    @Test func movedDirectoriesAreLookedForAgain() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.created, object: handle(4), at: at(2, "a")))
        rig.host.state.withLock { $0.below[handle(2)] = false }
        rig.tell(WatchEvent([.moved, .ofDirectory], object: handle(2), at: at(1, "d"), to: at(3, "d")))
        #expect(rig.told() == ["created 4 2/a", "movedAway 2 1/d"])
        _ = rig.bumped()
        rig.tell(WatchEvent(.created, object: handle(5), at: at(2, "b")))
        #expect(rig.bumped().isEmpty)
        // By a daemon, too.
        rig.host.state.withLock { $0.below[handle(2)] = true }
        let back = WatchEvent(
            [.moved, .ofDirectory], by: 7, object: handle(2), at: at(3, "d"), to: at(1, "d"))
        rig.tell(back, daemons: [7: 2])
        rig.tell(WatchEvent(.created, object: handle(5), at: at(2, "b")))
        #expect(rig.told() == ["created 5 2/b"])
    }

    @Test func daemonsHaveToldTheirsButForWrites() throws {
        let rig = try TellerRig()
        for changes in [.created, .attributes, .removed, .moved] as [WatchEvent.Changes] {
            rig.tell(
                WatchEvent(changes, by: 7, object: handle(4), at: at(2, "a"), to: at(1, "b")),
                daemons: [7: 3])
        }
        #expect(rig.told().isEmpty)
        rig.tell(WatchEvent(.modified, by: 7, object: handle(4), at: at(2, "a")), daemons: [7: 3])
        rig.tell(WatchEvent(.modified, by: 7, object: handle(4)), daemons: [7: 3])
        #expect(rig.bumped().isEmpty)
        #expect(rig.told() == ["content 4 2/a by 3", "content 4 by 3"])
    }

    @Test func lossMakesEverythingStale() throws {
        let rig = try TellerRig()
        rig.tell(WatchEvent(.created, object: handle(4), at: at(2, "a")))
        let epoch = rig.table.epoch
        // A move of a directory may be among what is lost.
        rig.host.state.withLock { $0.below[handle(2)] = false }
        rig.tell(WatchEvent(.lost))
        #expect(rig.table.epoch == epoch + 1)
        #expect(rig.told() == ["created 4 2/a", "everything"])
        _ = rig.bumped()
        rig.tell(WatchEvent(.created, object: handle(5), at: at(2, "b")))
        #expect(rig.bumped().isEmpty)
    }

    @Test func orderOfWhatIsOneEventIsSeenFromWhatIsThere() throws {
        let rig = try TellerRig()
        let both = WatchEvent([.created, .modified, .removed], object: handle(4), at: at(1, "a"))
        rig.tell(both)
        #expect(rig.told() == ["created 4 1/a", "content 4 1/a", "removed 4 1/a"])
        rig.host.state.withLock { $0.names[Array("a".utf8)] = FoundObject(key: key(4), links: 1) }
        rig.tell(both)
        #expect(rig.told() == ["removed 4 1/a", "created 4 1/a", "content 4 1/a"])
    }

    @Test func hostIsAskedOnce() throws {
        let rig = try TellerRig()
        let event = WatchEvent(.modified, object: handle(4), at: at(2, "a"))
        rig.tell(event)
        let questions = rig.host.state.withLock { $0.questions }
        for _ in 0..<10 { rig.tell(event) }
        #expect(rig.host.state.withLock { $0.questions } == questions)
    }

    @Test func processesOfThisNamespaceAreKnownByTheirWriters() throws {
        let rig = TableRig()
        let (one, two, three) = (try rig.open(), try rig.open(), try rig.open())
        one.identify(as: ProcessIdentity(number: 70, namespace: 5))
        two.identify(as: ProcessIdentity(number: 71, namespace: 6))
        let writers = [TableWriter(one), TableWriter(two), TableWriter(three)]
        #expect(one.processes(in: 5) == [70: 1])
        #expect(one.processes(in: 0).isEmpty)
        _ = consume writers
        #expect(one.processes(in: 5).isEmpty)
    }

    /// Kernels that have cached it are not waited for, but hear of it, and ask then.
    @Test func followersAreTold() throws {
        let rig = try TellerRig()
        let follower = try #require(Follower(rig.table))
        let (file, directory) = (rig.table.slot(of: key(4)), rig.table.slot(of: key(2)))
        follower.note(file)
        rig.tell(WatchEvent(.created, object: handle(5), at: at(2, "a")))
        #expect(follower.next() == nil)
        rig.tell(WatchEvent(.modified, object: handle(4), at: at(2, "b")))
        #expect(follower.next() == .slot(file))
        follower.note(directory)
        rig.tell(WatchEvent(.created, object: handle(5), at: at(2, "a")))
        #expect(follower.next() == .slot(directory))
        rig.tell(WatchEvent(.lost))
        #expect(follower.next() == .everything)
        #expect(follower.next() == nil)
    }

    @Test func oneOpeningWatchesADirectory() throws {
        let rig = TableRig()
        var one: VersionTable? = try rig.open()
        let two = try rig.open()
        #expect(one?.tryToWatch(key(2)) == true)
        #expect(!two.tryToWatch(key(2)))
        #expect(two.tryToWatch(key(3)))
        one = nil
        #expect(two.tryToWatch(key(2)))
        #expect(VersionTable.watchNumber(FileKey(device: 0, number: 1)) == 0x9e37_79b9)
    }
}
