// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HostFS

@Suite struct IdMapTests {
    private func table(_ rules: String...) throws -> IdTable {
        IdTable(try IdMap(parsing: Array(rules.joined(separator: "\n").utf8)))
    }

    private func error(_ rules: [UInt8]) -> MapError? {
        do throws(MapError) {
            _ = try IdMap(parsing: rules)
            return nil
        } catch { return error }
    }

    private func error(_ rules: String) -> MapError? { error(Array(rules.utf8)) }

    @Test func withoutRulesIdsStay() throws {
        let map = try IdMap(parsing: [])
        #expect(map.isIdentity && map == IdMap())
        let table = IdTable(map)
        for id in [0, 1000, UInt32.max] { #expect(table.hostID(id) == id && table.guestID(id) == id) }
    }

    @Test func eachKindHasItsDirections() throws {
        let map = try table("map:0:1000:10")
        #expect(map.hostID(0) == 1000 && map.hostID(9) == 1009 && map.hostID(10) == 10)
        #expect(map.guestID(1000) == 0 && map.guestID(1009) == 9 && map.guestID(1010) == 1010)
        let guest = try table("guest:5:500:2")
        #expect(guest.hostID(5) == 500 && guest.hostID(6) == 501 && guest.hostID(7) == 7)
        #expect(guest.guestID(500) == 500)
        let host = try table("host:500:5:2")
        #expect(host.guestID(500) == 5 && host.guestID(501) == 6 && host.guestID(499) == 499)
        #expect(host.hostID(5) == 5)
        let squashGuest = try table("squash-guest:0:107:4294967295")
        for id in [0, 1, 65534, UInt32.max - 1] { #expect(squashGuest.hostID(id) == 107) }
        #expect(squashGuest.guestID(107) == 107)
        let squashHost = try table("squash-host:1000:0:3")
        for id in 1000...1002 as ClosedRange<UInt32> { #expect(squashHost.guestID(id) == 0) }
        #expect(squashHost.guestID(1003) == 1003 && squashHost.hostID(0) == 0)
        let forbid = try table("forbid-guest:0:1000")
        #expect(forbid.hostID(0) == nil && forbid.hostID(999) == nil && forbid.hostID(1000) == 1000)
        #expect(forbid.guestID(0) == 0)
    }

    /// −1 is no id: it says "unchanged" and "nobody".
    @Test func minusOneStaysItself() throws {
        let table = try table("squash-guest:0:107:4294967295", "squash-host:0:5:4294967295")
        #expect(table.hostID(.max) == .max && table.guestID(.max) == .max)
    }

    /// As launchers give them: one id both ways, the rest forbidden and hidden.
    @Test func rulesGoTogether() throws {
        let table = try table(
            "map:1000:500:1", "forbid-guest:0:1000", "forbid-guest:1001:4294966294",
            "squash-host:0:65534:500", "squash-host:501:65534:4294966794")
        #expect(table.hostID(1000) == 500 && table.guestID(500) == 1000)
        for id in [0, 999, 1001, UInt32.max - 1] {
            #expect(table.hostID(id) == nil)
            #expect(table.guestID(id) == 65534)
        }
    }

    @Test(arguments: [
        ("guest", "it has 1 fields"), ("map:0:1", "it has 3 fields"), ("map:0:1:2:3", "it has 5 fields"),
        ("forbid-guest:0:1:2", "it has 4 fields"),
        ("Map:0:1:2", "no such kind of rule"), (":map:0:1:2:", "no such kind of rule"),
        (" map:0:1:2", "no such kind of rule"),
        ("map:0:1:", "one of the fields is not a number from 0 to 4294967295"),
        ("map:0:-1:1", "one of the fields is not a number from 0 to 4294967295"),
        ("map:+0:1:1", "one of the fields is not a number from 0 to 4294967295"),
        ("map:0x1:1:1", "one of the fields is not a number from 0 to 4294967295"),
        ("map:4294967296:1:1", "one of the fields is not a number from 0 to 4294967295"),
        ("map:99999999999999999999:1:1", "one of the fields is not a number from 0 to 4294967295"),
        ("map:0:0:0", "the range is empty"),
        ("map:1:0:4294967295", "it goes beyond the last id"),
        ("guest:0:1:4294967295", "it goes beyond the last id"),
        ("host:0:1:4294967295", "it goes beyond the last id"),
        ("squash-guest:0:4294967295:1", "it goes beyond the last id"),
        ("squash-host:4294967295:0:1", "it goes beyond the last id"),
        ("forbid-guest:4294967295:1", "it goes beyond the last id"),
    ]) func whatIsWrongIsSaid(rule: String, reason: String) {
        let found = error("map:70000:70000:1\n" + rule)
        #expect(found?.rule == Array(rule.utf8))
        #expect(found?.reason == reason)
        #expect(found?.hint.isEmpty == false)
    }

    @Test func oneIdHasOneRuleADirection() {
        #expect(error("guest:0:5:10\nforbid-guest:9:1")?.reason == "it overlaps guest:0:5:10")
        #expect(error("host:5:5:1\nmap:0:0:6")?.rule == Array("map:0:0:6".utf8))
        #expect(error("host:5:5:1\nguest:5:5:1") == nil)
        // Two ranges may lead to the same place, and then only one of them back.
        #expect(error("guest:0:5:1\nguest:1:5:1\nhost:5:0:1") == nil)
    }

    @Test func bytesThatAreNoTextAreNoRule() {
        #expect(error([0xff, 0x00, 0x3a])?.reason == "no such kind of rule")
        #expect(error([0x0a, 0x0a]) == nil)
    }

    /// Every id is looked up as if the ranges were gone through one by one.
    @Test func manyRangesAreSearchedRight() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var rules: [String] = []
            var model: [UInt32: UInt32?] = [:]
            var next: UInt32 = 0
            while next < 300 {
                next += UInt32.random(in: 0...5, using: &generator)
                let count = UInt32.random(in: 1...5, using: &generator)
                switch Int.random(in: 0...2, using: &generator) {
                case 0:
                    rules.append("guest:\(next):\(next + 1000):\(count)")
                    for id in next..<next + count { model[id] = .some(id + 1000) }
                case 1:
                    rules.append("squash-guest:\(next):7:\(count)")
                    for id in next..<next + count { model[id] = .some(7) }
                default:
                    rules.append("forbid-guest:\(next):\(count)")
                    for id in next..<next + count { model[id] = .some(nil) }
                }
                next += count
            }
            let shuffled = rules.shuffled(using: &generator).joined(separator: "\n")
            let table = IdTable(try IdMap(parsing: Array(shuffled.utf8)))
            for id in 0..<310 as Range<UInt32> { #expect(table.hostID(id) == model[id] ?? id) }
        }
    }
}
